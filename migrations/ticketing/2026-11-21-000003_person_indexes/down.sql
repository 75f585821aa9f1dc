DROP INDEX events_organizer;
DROP INDEX reservation_seats_seat;
DROP INDEX reservations_event;
DROP INDEX reservations_user;
