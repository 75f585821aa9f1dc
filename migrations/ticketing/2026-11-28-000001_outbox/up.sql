-- Messages that became true with a commit and are delivered afterwards, at least once.
CREATE TABLE outbox (
    id       uuid PRIMARY KEY,
    topic    text NOT NULL,
    payload  jsonb NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    due_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
