-- How an event's waiting room is run, and what must be known of it after Redis, which keeps the order, has lost its
-- memory. One row per event that anybody ever waited for or that its organizer set; an event without one has the
-- defaults. Written about once a second while somebody is there, never per person who joins.
CREATE TABLE waiting_rooms (
    event_id         uuid PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    mode             text NOT NULL DEFAULT 'auto' CHECK (mode IN ('off', 'auto', 'on')),
    threshold        int NOT NULL DEFAULT 1000 CHECK (threshold BETWEEN 1 AND 1000000),
    rate_per_second  int CHECK (rate_per_second BETWEEN 1 AND 100000),
    paused           boolean NOT NULL DEFAULT false,
    -- Nothing: from the start of the sale on.
    opens_at         timestamptz,
    -- Grows with every change of the settings above, so that an old change never overtakes a new one.
    settings_version bigint NOT NULL DEFAULT 1,
    -- Which line: grows when the room is emptied, and tickets of the line before are worth nothing then.
    generation       int NOT NULL DEFAULT 1 CHECK (generation > 0),
    -- How often the order in Redis was begun anew.
    incarnation      int NOT NULL DEFAULT 0 CHECK (incarnation >= 0),
    -- No number above this one was ever given. Numbers are taken in blocks: this moves before they are given, so that
    -- after a loss a newcomer starts behind everybody who had a place.
    seq_high_water   bigint NOT NULL DEFAULT 0 CHECK (seq_high_water >= 0),
    -- The lease of whoever advances the line and writes the log: an older one writes nothing any more.
    fence            bigint NOT NULL DEFAULT 0 CHECK (fence >= 0),
    -- When the order was last known to be whole, milliseconds since 1970 by Redis' clock, and how many waited then.
    alive_at_ms      bigint NOT NULL DEFAULT 0,
    waiting          bigint NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    -- The end of the admission log: its last entry and, of the incarnation it belongs to, the last change that is in it.
    log_index        bigint NOT NULL DEFAULT 0 CHECK (log_index >= 0),
    log_hash         bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(log_hash) = 32),
    log_incarnation  int NOT NULL DEFAULT 0,
    log_change       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Who was let in, in order, each entry sealed by the one before: FIFO can be checked afterwards by anybody, and an entry
-- that is altered, left out or put in breaks the chain. A person is a hash that they can compute themselves.
CREATE TABLE queue_admissions (
    event_id    uuid NOT NULL REFERENCES waiting_rooms (event_id) ON DELETE CASCADE,
    index       bigint NOT NULL CHECK (index > 0),
    generation  int NOT NULL,
    incarnation int NOT NULL,
    -- The change of this incarnation that let them in: nobody is written twice, whoever writes.
    change      bigint NOT NULL,
    seq         bigint NOT NULL CHECK (seq > 0),
    user_hash   bytea NOT NULL CHECK (octet_length(user_hash) = 32),
    admitted_at timestamptz NOT NULL,
    -- Whether the place was given back: after a loss, or to somebody who had not noticed their turn. Its number may be
    -- lower than the one before.
    restored    boolean NOT NULL,
    prev_hash   bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (event_id, index),
    UNIQUE (event_id, incarnation, change)
);

-- The log only grows. It goes with its event, and in no other way.
CREATE FUNCTION queue_admissions_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM waiting_rooms WHERE event_id = OLD.event_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the admission log is append-only';
END
$$;

CREATE TRIGGER only_grow BEFORE UPDATE OR DELETE ON queue_admissions
    FOR EACH ROW EXECUTE FUNCTION queue_admissions_only_grow();
