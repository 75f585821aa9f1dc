DROP VIEW event_listings;
DROP TABLE reservation_seats;
DROP TABLE seats;
DROP TABLE reservations;
DROP TABLE ticket_types;
DROP TABLE events;
DROP TABLE seat_layouts;
