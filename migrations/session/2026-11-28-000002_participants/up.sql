-- How long a session was active in all: the spans before, and since when it is active now. And how many are in it, kept
-- in the transaction of each join and leave.
ALTER TABLE sessions
    ADD COLUMN active_since      timestamptz,
    ADD COLUMN active_ms         bigint  NOT NULL DEFAULT 0 CHECK (active_ms >= 0),
    ADD COLUMN participant_count integer NOT NULL DEFAULT 0 CHECK (participant_count >= 0);

UPDATE sessions SET active_since = COALESCE(started_at, updated_at) WHERE status = 'active';

-- Who came in by a session's code.
CREATE TABLE participants (
    id           uuid PRIMARY KEY,
    session_id   uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- Null for a guest; accounts live in another database.
    user_id      uuid,
    display_name text NOT NULL,
    joined_at    timestamptz NOT NULL,
    -- Null while they are in.
    left_at      timestamptz,
    -- Of a guest who sent an Idempotency-Key: its digest, with where they came from.
    join_key     bytea
);

-- A signed-in person is in a session once, however often they join.
CREATE UNIQUE INDEX participants_person_is_in_once ON participants (session_id, user_id)
    WHERE user_id IS NOT NULL AND left_at IS NULL;
-- And so is a guest who sends the same request twice.
CREATE UNIQUE INDEX participants_guest_is_in_once ON participants (session_id, join_key)
    WHERE join_key IS NOT NULL AND left_at IS NULL;
-- A session's list, newest first.
CREATE INDEX participants_of_session ON participants (session_id, joined_at DESC, id DESC);
CREATE INDEX participants_of_person ON participants (user_id, id) WHERE user_id IS NOT NULL;
-- For forgetting those who left long ago.
CREATE INDEX participants_that_left ON participants (left_at) WHERE left_at IS NOT NULL;

-- Every code that may not be drawn: those of sessions, and those of deleted ones for some days, so that an old QR code
-- does not open a stranger's room. The primary key decides between two who draw the same.
CREATE TABLE session_codes (
    code        text PRIMARY KEY CHECK (code ~ '^[A-Z0-9]{6}$'),
    -- When its session was deleted; null while it has one.
    released_at timestamptz
);

-- For giving codes back whose days are over.
CREATE INDEX session_codes_released ON session_codes (released_at) WHERE released_at IS NOT NULL;

INSERT INTO session_codes (code) SELECT session_code FROM sessions;
