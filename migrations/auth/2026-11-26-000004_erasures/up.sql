-- The end of an account, and how far it is. Says nothing about whose it was.
CREATE TABLE erasures (
    id           uuid PRIMARY KEY,
    requested_at timestamptz NOT NULL
);

CREATE TABLE erasure_services (
    erasure_id  uuid NOT NULL REFERENCES erasures (id) ON DELETE CASCADE,
    service     text NOT NULL,
    -- How many of what are gone: {"memos": 3}.
    erased      jsonb NOT NULL DEFAULT '{}',
    finished_at timestamptz,
    PRIMARY KEY (erasure_id, service)
);
