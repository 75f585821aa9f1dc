-- A conversation with the companion. Written with its first message, or when a client makes one on purpose.
CREATE TABLE emotion_sessions (
    id              uuid PRIMARY KEY,
    user_id         uuid NOT NULL,
    emotion_label   text,
    topic           text,
    trigger_summary text,
    insight_summary text,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz
);

-- A person's conversations, newest first.
CREATE INDEX emotion_sessions_user ON emotion_sessions (user_id, started_at DESC, id DESC);

-- One turn: what was said, and what was answered as far as it got.
CREATE TABLE emotion_steps (
    id           uuid PRIMARY KEY,
    session_id   uuid NOT NULL REFERENCES emotion_sessions (id) ON DELETE CASCADE,
    step_order   int NOT NULL CHECK (step_order >= 1),
    step_type    text NOT NULL CHECK (step_type ~ '^[a-z_]{1,32}$'),
    user_input   text NOT NULL,
    gpt_response text NOT NULL DEFAULT '',
    status       text NOT NULL CHECK (status IN ('pending', 'streaming', 'complete', 'stopped', 'interrupted')),
    -- Who answered: `offline`, or the provider of a model.
    provider     text NOT NULL,
    insight_tag  text,
    -- {label, confidence, source}, once the step was judged.
    emotion      jsonb,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    -- Moved forward while a process works on the reply; once it has passed, that process is gone.
    lease_until  timestamptz NOT NULL,
    UNIQUE (session_id, step_order)
);

-- At most one reply of a conversation is being written; also what the search for abandoned ones reads.
CREATE UNIQUE INDEX emotion_steps_running ON emotion_steps (session_id) WHERE status IN ('pending', 'streaming');
