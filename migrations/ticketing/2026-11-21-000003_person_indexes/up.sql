-- A person's orders, newest first, and whether they have any.
CREATE INDEX reservations_user ON reservations (user_id, id DESC);
-- Whether an event was ever ordered from; there is no foreign key that would know.
CREATE INDEX reservations_event ON reservations (event_id);
-- Without it every seat that is deleted looks through all orders for one that names it.
CREATE INDEX reservation_seats_seat ON reservation_seats (seat_id);
-- Events of somebody who runs them.
CREATE INDEX events_organizer ON events (organizer_id, id);
