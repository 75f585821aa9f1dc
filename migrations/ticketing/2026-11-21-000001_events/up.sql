-- Where the seats of a hall are; an event that takes place there gets its own copy of them.
CREATE TABLE seat_layouts (
    id            uuid PRIMARY KEY,
    name          text NOT NULL CHECK (name <> ''),
    description   text,
    total_seats   int NOT NULL CHECK (total_seats > 0),
    -- {"sections": [{"name", "rows", "seatsPerRow", "price", "startRow"}]}
    layout_config jsonb NOT NULL CHECK (jsonb_typeof(layout_config -> 'sections') = 'array'),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE events (
    id               uuid PRIMARY KEY,
    -- An account; accounts live in another database.
    organizer_id     uuid NOT NULL,
    title            text NOT NULL CHECK (title <> ''),
    description      text,
    artist_name      text,
    venue            text NOT NULL CHECK (venue <> ''),
    address          text,
    event_date       timestamptz NOT NULL,
    sale_start_date  timestamptz NOT NULL,
    sale_end_date    timestamptz NOT NULL,
    poster_image_url text,
    seat_layout_id   uuid REFERENCES seat_layouts (id),
    -- The only part of an event's status that is stored; the rest follows from the time and the stock.
    cancelled_at     timestamptz,
    -- What a search looks at. Line breaks keep a match from running from one field into the next.
    search_text      text NOT NULL GENERATED ALWAYS AS (
        title || E'\n' || coalesce(artist_name, '') || E'\n' || venue || E'\n' || coalesce(address, '')
    ) STORED,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (sale_start_date < sale_end_date)
);

CREATE INDEX events_sale_start_date ON events (sale_start_date, id);

-- Stock that is sold by quantity. What is held and what is sold never exceeds what there is, at any instant.
CREATE TABLE ticket_types (
    id             uuid PRIMARY KEY,
    event_id       uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    name           text NOT NULL CHECK (name <> ''),
    description    text,
    -- KRW
    price          bigint NOT NULL CHECK (price >= 0),
    total_quantity int NOT NULL CHECK (total_quantity >= 0),
    held           int NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold           int NOT NULL DEFAULT 0 CHECK (sold >= 0),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, name),
    CHECK (held + sold <= total_quantity)
);

-- One order. A pending one holds its seats until `expires_at` and not a moment longer, whether or not anybody has got
-- round to calling it expired. No foreign key to events: every order would lock the row of the event that sells most.
CREATE TABLE reservations (
    id                 uuid PRIMARY KEY,
    reservation_number text NOT NULL UNIQUE CHECK (reservation_number ~ '^TK[0-9A-Z]{12}$'),
    event_id           uuid NOT NULL,
    user_id            uuid NOT NULL,
    -- KRW
    total_amount       bigint NOT NULL CHECK (total_amount >= 0),
    status             text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'confirmed', 'cancelled', 'expired')),
    payment_status     text NOT NULL DEFAULT 'pending'
        CHECK (payment_status IN ('pending', 'completed', 'failed', 'refunded')),
    payment_method     text,
    expires_at         timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Nobody gets in without having paid, and nobody keeps a seat after a refund.
    CHECK (status <> 'confirmed' OR payment_status = 'completed'),
    CHECK (payment_status <> 'refunded' OR status IN ('cancelled', 'expired'))
);

-- What the sweeper looks for: its cost follows what is due and not what was ever sold.
CREATE INDEX reservations_due ON reservations (expires_at) WHERE status = 'pending';

-- One seat of one event. The row itself says who has it, so it cannot be two. A `locked` seat whose `held_until` has
-- passed is free. Indexes are on columns that never change, and pages keep some room, so that a change of hands
-- touches no index (HOT).
CREATE TABLE seats (
    id             uuid PRIMARY KEY,
    event_id       uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    section        text NOT NULL CHECK (section <> ''),
    row_number     int NOT NULL CHECK (row_number > 0),
    seat_number    int NOT NULL CHECK (seat_number > 0),
    seat_label     text NOT NULL,
    -- KRW
    price          bigint NOT NULL CHECK (price >= 0),
    status         text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'locked', 'reserved')),
    reservation_id uuid REFERENCES reservations (id),
    held_until     timestamptz,
    -- Grows with every change of hands, so that a listener can tell an old notice from a new one.
    version        bigint NOT NULL DEFAULT 0,
    UNIQUE (event_id, section, row_number, seat_number),
    CHECK ((status = 'available') = (reservation_id IS NULL)),
    CHECK ((status = 'locked') = (held_until IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX seats_price ON seats (event_id, price);

-- The seats of an order and what each cost then; stays when the order is over.
CREATE TABLE reservation_seats (
    reservation_id uuid NOT NULL REFERENCES reservations (id) ON DELETE CASCADE,
    seat_id        uuid NOT NULL REFERENCES seats (id),
    -- KRW
    price          bigint NOT NULL CHECK (price >= 0),
    PRIMARY KEY (reservation_id, seat_id)
);

-- Events as people see them: status and prices follow from the time and the stock. `domain::seat_hold::SaleWindow` has
-- the same rule for a single event. What is merely held may come back, so it does not make an event sold out.
CREATE VIEW event_listings AS
SELECT
    e.id, e.title, e.description, e.artist_name, e.venue, e.address, e.event_date, e.sale_start_date, e.sale_end_date,
    e.poster_image_url, e.seat_layout_id, e.search_text,
    CASE
        WHEN e.cancelled_at IS NOT NULL THEN 'cancelled'
        WHEN now() >= least(e.sale_end_date, e.event_date) THEN 'ended'
        WHEN now() < e.sale_start_date THEN 'upcoming'
        WHEN (e.seat_layout_id IS NOT NULL OR EXISTS (SELECT FROM ticket_types t WHERE t.event_id = e.id))
            AND NOT EXISTS (SELECT FROM ticket_types t WHERE t.event_id = e.id AND t.sold < t.total_quantity)
            -- In the order of an index: with a plain EXISTS the planner walks through other events' seats.
            AND (SELECT s.id FROM seats s WHERE s.event_id = e.id AND s.status <> 'reserved'
                 ORDER BY s.section, s.row_number, s.seat_number LIMIT 1) IS NULL
            THEN 'sold_out'
        ELSE 'on_sale'
    END AS status,
    (SELECT count(*) FROM ticket_types t WHERE t.event_id = e.id) AS ticket_type_count,
    least(
        (SELECT min(t.price) FROM ticket_types t WHERE t.event_id = e.id),
        (SELECT min(s.price) FROM seats s WHERE s.event_id = e.id)
    ) AS min_price,
    greatest(
        (SELECT max(t.price) FROM ticket_types t WHERE t.event_id = e.id),
        (SELECT max(s.price) FROM seats s WHERE s.event_id = e.id)
    ) AS max_price
FROM events e;
