//! How addresses are chosen, with a clock that stands still.

use super::*;

const ROOM: Room = Room { service: 8, address: 4 };
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

fn upstream(count: u16) -> Upstream {
    let urls: Vec<Url> = (1..=count).map(|port| format!("http://127.0.0.1:{port}").parse().unwrap()).collect();
    Upstream::new(Service::Memo, &urls, ROOM).unwrap()
}

fn port_of(lease: &Lease) -> u16 {
    lease.address().authority.port_u16().unwrap()
}

fn port(upstream: &Upstream, choice: Choice, tried: Option<&Address>) -> u16 {
    port_of(&upstream.choose(choice, true, tried).unwrap())
}

fn ports(upstream: &Upstream, count: usize) -> Vec<u16> {
    (0..count).map(|_| port(upstream, Choice::LessBusy, None)).collect()
}

fn fail(upstream: &Upstream, at: usize, times: usize) {
    (0..times).for_each(|_| upstream.note_answer(&upstream.addresses[at], BUSY, false));
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn quiet_addresses_take_turns() {
    assert_eq!(ports(&upstream(3), 6), [1, 2, 3, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_address_is_left_to_its_work() {
    let upstream = upstream(2);
    let held: Vec<Lease> = (0..3).map(|_| Lease::take(&upstream.addresses[0], Some(&upstream.tally))).collect();
    assert_eq!(ports(&upstream, 4), [2; 4]);
    drop(held);
    assert!(ports(&upstream, 4).contains(&1));
    assert_eq!((upstream.tally.in_flight.load(Relaxed), upstream.addresses[0].in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_there_is_room_for_is_refused() {
    let (one, three) = (upstream(1), upstream(3));
    let take = |upstream: &Upstream| upstream.choose(Choice::LessBusy, true, None);
    let held: Vec<Lease> = (0..4).map(|_| take(&one).unwrap()).collect();
    assert_eq!(take(&one).err().unwrap().code(), "overloaded");
    assert!(one.choose(Choice::LessBusy, false, None).is_ok());
    drop(held);
    assert!(take(&one).is_ok());
    let held: Vec<Lease> = (0..8).map(|_| take(&three).unwrap()).collect();
    assert_eq!(take(&three).err().unwrap().code(), "overloaded");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_broken_address_is_left_alone_for_a_while_and_then_probed_once() {
    let upstream = upstream(2);
    let first = upstream.addresses[0].clone();
    upstream.note_broken(&first);
    assert_eq!(ports(&upstream, 4), [2; 4]);
    later(3).await;
    let probing = ports(&upstream, 6);
    assert_eq!(probing.iter().filter(|port| **port == 1).count(), 1, "{probing:?}");
    upstream.note_answer(&first, StatusCode::OK, false);
    assert!(ports(&upstream, 2).contains(&1));
}

#[tokio::test(start_paused = true)]
async fn errors_in_a_row_eject_an_address_for_longer_each_time() {
    let upstream = upstream(2);
    fail(&upstream, 0, 4);
    upstream.note_answer(&upstream.addresses[0], StatusCode::OK, false);
    fail(&upstream, 0, 4);
    assert!(ports(&upstream, 2).contains(&1));
    // Those in flight at the time count once.
    fail(&upstream, 0, 10);
    for pause in [3, 6, 12, 24, 30, 30] {
        later(pause - 1).await;
        assert_eq!(ports(&upstream, 4), [2; 4], "{pause}");
        later(1).await;
        assert!(ports(&upstream, 2).contains(&1), "{pause}");
        fail(&upstream, 0, 1);
    }
    later(31 + 31).await;
    upstream.note_answer(&upstream.addresses[0], StatusCode::OK, false);
    fail(&upstream, 0, 5);
    later(3).await;
    assert!(ports(&upstream, 2).contains(&1));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_half_of_all_are_ejected() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let upstream = upstream(count);
        (0..usize::from(count)).for_each(|at| fail(&upstream, at, 9));
        let now = upstream.now();
        let ejected = upstream.addresses.iter().filter(|address| address.is_ejected(now)).count();
        assert_eq!(ejected, most, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_are_avoided_the_one_whose_time_is_over_first_is_used() {
    let upstream = upstream(2);
    let (first, second) = (upstream.addresses[0].clone(), upstream.addresses[1].clone());
    upstream.note_answer(&second, StatusCode::OK, true);
    upstream.note_broken(&first);
    assert_eq!(port(&upstream, Choice::LessBusy, None), 1);
    assert_eq!(port(&upstream, Choice::LessBusy, Some(&first)), 2);
    upstream.note_answer(&second, StatusCode::OK, false);
    assert_eq!(port(&upstream, Choice::LessBusy, None), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_address_and_keys_are_spread() {
    let upstream = upstream(3);
    let by_key = || (0..100).map(|key| port(&upstream, Choice::By(key), None)).collect::<Vec<u16>>();
    let ports = by_key();
    assert_eq!(ports, by_key());
    assert!([1, 2, 3].iter().all(|port| ports.contains(port)));
    let seventh = upstream.choose(Choice::By(7), true, None).unwrap();
    assert_ne!(port(&upstream, Choice::By(7), Some(seventh.address())), ports[7]);
}

#[test]
fn a_service_without_addresses_is_unavailable() {
    assert_eq!(upstream(0).choose(Choice::LessBusy, true, None).err().unwrap().code(), "unavailable");
}
