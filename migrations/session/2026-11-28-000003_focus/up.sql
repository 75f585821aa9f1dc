-- Minutes that somebody wants to spend on one thing. Written when somebody does something to it and when its time is
-- over, never while it runs.
CREATE TABLE focus_sessions (
    id               uuid PRIMARY KEY,
    -- The owner; accounts live in another database.
    user_id          uuid NOT NULL,
    -- Order of making, by one count for all replicas: the ids' clocks may differ.
    ordinal          bigint GENERATED ALWAYS AS IDENTITY,
    subject          text NOT NULL,
    goal             text,
    duration_minutes integer NOT NULL CHECK (duration_minutes BETWEEN 1 AND 180),
    break_minutes    integer NOT NULL CHECK (break_minutes BETWEEN 0 AND 60),
    tags             text[] NOT NULL DEFAULT '{}',
    reflection       text,
    status           text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'started', 'paused', 'completed', 'reviewed', 'cancelled')),
    -- Time of the spans that have ended; the sum of its rows in focus_intervals.
    accumulated_ms   bigint NOT NULL DEFAULT 0 CHECK (accumulated_ms BETWEEN 0 AND duration_minutes * 60000::bigint),
    -- When the current span began; null unless it runs.
    anchor_at        timestamptz,
    -- When its time is over; null unless it runs.
    due_at           timestamptz,
    -- When it was completed (its due time, however late that was noticed) or cancelled; null before.
    ended_at         timestamptz,
    -- Grows by one with every change; an UPDATE names the version it has read.
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT runs_until_due CHECK (
        (status = 'started') = (anchor_at IS NOT NULL) AND (status = 'started') = (due_at IS NOT NULL)
    ),
    CONSTRAINT due_when_its_time_is_over CHECK (
        due_at = anchor_at + (duration_minutes * 60000::bigint - accumulated_ms) * interval '1 millisecond'
    ),
    CONSTRAINT ended_once CHECK ((status IN ('completed', 'reviewed', 'cancelled')) = (ended_at IS NOT NULL)),
    CONSTRAINT pending_is_unspent CHECK (status <> 'pending' OR accumulated_ms = 0)
);

-- A person has one current session at most; of two that are made at once, one waits and replaces the other.
CREATE UNIQUE INDEX focus_sessions_current ON focus_sessions (user_id) WHERE status IN ('pending', 'started', 'paused');
-- A person's list, newest first.
CREATE INDEX focus_sessions_of_user ON focus_sessions (user_id, created_at DESC, id DESC);
-- A person's completions, by day.
CREATE INDEX focus_sessions_completed ON focus_sessions (user_id, ended_at) WHERE status IN ('completed', 'reviewed');
-- What is over next. Small: running sessions only.
CREATE INDEX focus_sessions_due ON focus_sessions (due_at) WHERE status = 'started';

-- The spans in which a focus session ran, each once it has ended.
CREATE TABLE focus_intervals (
    session_id uuid NOT NULL REFERENCES focus_sessions (id) ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    -- The session's owner, so that a person's days are read without their sessions.
    user_id    uuid NOT NULL,
    PRIMARY KEY (session_id, started_at),
    CHECK (ended_at > started_at)
);

-- A person's days.
CREATE INDEX focus_intervals_of_user ON focus_intervals (user_id, started_at, session_id);

-- Messages that became true with a commit and are delivered afterwards, at least once.
CREATE TABLE outbox (
    id       uuid PRIMARY KEY,
    topic    text NOT NULL,
    payload  jsonb NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    due_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
