-- What viewers of a session are told, in its order. State (timer, session) is read afresh and has no body here.
CREATE TABLE session_events (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- From 1, without gaps, in the order of commits: who has seen one number has seen all before it.
    seq        bigint NOT NULL CHECK (seq > 0),
    kind       text NOT NULL CHECK (kind IN ('timer', 'alert', 'participants', 'feedback', 'session')),
    body       jsonb,
    -- What must be told once only.
    once_key   text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq)
);

CREATE UNIQUE INDEX session_events_once ON session_events (session_id, once_key) WHERE once_key IS NOT NULL;

-- For deleting what nobody can have missed any more.
CREATE INDEX session_events_created_at ON session_events (created_at);

-- Appends an event and returns its number; null when its key was told before.
--
-- The lock lasts until the commit and makes numbers visible in their order. Call it last in a transaction, and for
-- several sessions in the order of their ids.
CREATE FUNCTION append_session_event(session uuid, kind text, body jsonb, once_key text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    next_seq bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(session::text, 1));
    SELECT coalesce(max(e.seq), 0) + 1 INTO next_seq FROM session_events e WHERE e.session_id = session;
    INSERT INTO session_events (session_id, seq, kind, body, once_key)
        VALUES (session, next_seq, append_session_event.kind, append_session_event.body, append_session_event.once_key)
        ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN next_seq END;
END
$$;

-- Moments of running timers that are to be announced. Written when somebody controls a timer, taken out when due.
CREATE TABLE timer_deadlines (
    session_id        uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- The timer's version that planned it.
    version           bigint NOT NULL,
    alert             text NOT NULL,
    remaining_seconds integer NOT NULL,
    -- The run and the alert, which is announced once in it.
    once_key          text NOT NULL,
    due_at            timestamptz NOT NULL,
    PRIMARY KEY (session_id, version, once_key)
);

CREATE INDEX timer_deadlines_due_at ON timer_deadlines (due_at);
