use chassis::clock::Clock;
use domain::{locale::Locale, principal::Role};

use super::*;

struct Hall {
    crowd: Crowd,
    clock: Clock,
    event: EventId,
}

fn hall() -> Hall {
    let clock = Clock::system();
    Hall { crowd: Crowd::default(), event: clock.id(), clock }
}

impl Hall {
    fn visitor(&self, user_id: UserId) -> (Sid, Visitor) {
        let person = Principal { user_id, login_id: self.clock.id(), role: Role::User };
        (Sid::new(), Visitor::new(person, None, Locale::Ko))
    }

    fn changes(&self) -> Vec<(UserId, bool)> {
        self.crowd.take_changes().remove(&self.event).into_iter().flatten().collect()
    }

    fn place(&self) -> Place {
        Place::new(Room::Event, self.event)
    }
}

#[test]
fn a_person_with_two_tabs_is_one_and_leaves_with_the_last() {
    let hall = hall();
    let user_id = hall.clock.id();
    let ((one, first), (two, second)) = (hall.visitor(user_id), hall.visitor(user_id));
    assert_eq!(hall.crowd.enter(one, &first, None), Some(true));
    assert_eq!(hall.crowd.enter(two, &second, None), Some(false));
    for sid in [one, two, two] {
        assert_eq!(hall.crowd.join(sid, hall.place()), Joined::Yes);
    }
    assert_eq!((hall.crowd.count(hall.event), hall.changes()), (1, vec![(user_id, true)]));
    hall.crowd.exit(one, &first, false);
    assert_eq!((hall.crowd.count(hall.event), hall.changes()), (1, vec![]));
    hall.crowd.exit(two, &second, false);
    assert_eq!((hall.crowd.count(hall.event), hall.changes()), (0, vec![(user_id, false)]));
    let lost = Whereabouts { event_id: Some(hall.event), ..Whereabouts::default() };
    assert_eq!(hall.crowd.take_moved_of(user_id), Some(Moved::Lost(lost)));
    assert!(hall.crowd.of_logins(|_| true).is_empty());
}

#[test]
fn whoever_has_left_does_not_come_in_after_it() {
    let hall = hall();
    let (sid, visitor) = hall.visitor(hall.clock.id());
    hall.crowd.exit(sid, &visitor, false);
    assert_eq!(hall.crowd.enter(sid, &visitor, None), None);
    assert_eq!(hall.crowd.join(sid, hall.place()), Joined::Gone);
}

#[test]
fn a_socket_is_in_so_many_rooms_and_no_more() {
    let hall = hall();
    let (sid, visitor) = hall.visitor(hall.clock.id());
    hall.crowd.enter(sid, &visitor, None);
    for _ in 0..ROOMS_MAX {
        assert_eq!(hall.crowd.join(sid, Place::new(Room::Event, hall.clock.id())), Joined::Yes);
    }
    assert_eq!(hall.crowd.join(sid, hall.place()), Joined::Full);
}

#[test]
fn seats_are_marked_where_seats_are_chosen_and_forgotten_outside() {
    let hall = hall();
    let user_id = hall.clock.id();
    let (sid, visitor) = hall.visitor(user_id);
    let (seats, place) = ([hall.clock.id()], Place::new(Room::Seats, hall.event));
    hall.crowd.enter(sid, &visitor, None);
    assert!(!hall.crowd.select(sid, hall.event, &seats));
    hall.crowd.join(sid, place);
    assert!(hall.crowd.select(sid, hall.event, &seats));
    let here = Whereabouts { seat_event_id: Some(hall.event), selected: seats.to_vec(), ..Whereabouts::default() };
    assert_eq!(hall.crowd.take_moved_of(user_id), Some(Moved::Here(here)));
    hall.crowd.leave(sid, place);
    assert_eq!(hall.crowd.take_moved_of(user_id), Some(Moved::Here(Whereabouts::default())));
}
