-- A conversation or a talk, and the code that lets an audience in.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    -- The owner; accounts live in another database.
    user_id      uuid NOT NULL,
    title        text NOT NULL,
    description  text,
    kind         text NOT NULL CHECK (kind IN ('dating', 'interview', 'business', 'presentation')),
    status       text NOT NULL DEFAULT 'created' CHECK (status IN ('created', 'active', 'paused', 'ended')),
    -- Unique by constraint: who draws a taken code draws again.
    session_code text NOT NULL UNIQUE CHECK (session_code ~ '^[A-Z0-9]{6}$'),
    -- The ticketed event whose holders may join; lives in another database.
    event_id     uuid,
    settings     jsonb NOT NULL,
    metadata     jsonb NOT NULL,
    summary      jsonb,
    started_at   timestamptz,
    ended_at     timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);

-- A person's list, newest first.
CREATE INDEX sessions_of_user ON sessions (user_id, created_at DESC, id DESC);

-- The timer of a session. Written when somebody controls it, never while it runs.
CREATE TABLE timers (
    session_id       uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    duration_seconds integer NOT NULL CHECK (duration_seconds > 0),
    alerts           jsonb NOT NULL,
    -- When this run was started first; null while the timer is ready.
    started_at       timestamptz,
    -- When the current span began; null unless it runs.
    anchor_at        timestamptz,
    -- Since when it stands still; null unless it is paused.
    paused_at        timestamptz,
    -- Time of the spans before.
    accumulated_ms   bigint NOT NULL DEFAULT 0 CHECK (accumulated_ms >= 0),
    -- Grows by one with every change; an UPDATE names the version it has read.
    version          bigint NOT NULL DEFAULT 1,
    CONSTRAINT ready_running_or_paused
        CHECK (num_nonnulls(anchor_at, paused_at) = num_nonnulls(started_at))
);
