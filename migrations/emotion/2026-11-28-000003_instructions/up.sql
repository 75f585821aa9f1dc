-- What the operator tells models beside the safety policy; every replica reads it again when it changes. It is the
-- operator's text and nobody's conversation, so it is not sealed.
CREATE TABLE emotion_instructions (
    -- One row.
    id         smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    text       text NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 8192),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
