-- What a person wants to be told in a session; no row as long as it is what the session's own settings say.
CREATE TABLE feedback_settings (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL,
    settings   jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (session_id, user_id)
);

-- What the next samples are judged on, and what all before amount to. Both are of bounded size; no sample is kept, and
-- nothing of what was said. Written by whoever holds the session's row.
CREATE TABLE feedback_states (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL,
    state      jsonb NOT NULL,
    totals     jsonb NOT NULL,
    PRIMARY KEY (session_id, user_id)
);

-- What a person was told. The newest thousand of a session are kept.
CREATE TABLE feedback_cues (
    id         uuid PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL,
    rule       text NOT NULL,
    pattern    text NOT NULL,
    intensity  smallint NOT NULL CHECK (intensity BETWEEN 1 AND 10),
    -- The instant of the sample, by the client's clock; cues of one person in one session are a second apart or more.
    at         timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);

-- A session's history, newest first, and which of it is too old to keep.
CREATE UNIQUE INDEX feedback_cues_of_session ON feedback_cues (session_id, user_id, at DESC);
