-- Answers already given under an Idempotency-Key, written in the transaction of their effect.
CREATE TABLE idempotency_keys (
    user_id    uuid NOT NULL,
    route      text NOT NULL,
    key        text NOT NULL,
    body_hash  bytea NOT NULL,
    status     smallint NOT NULL,
    answer     jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, route, key)
);

-- For deleting keys whose day is over.
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
