-- What happened to accounts, as it is written in the transaction that makes it true. A loop moves it into the chain.
CREATE TABLE audit_pending (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    action   text NOT NULL,
    -- Whose account, under an id that means nothing once the account is gone.
    user_id  uuid,
    meta     jsonb NOT NULL,
    -- Addresses and the like, with a salt; may be taken out later without breaking the chain.
    personal jsonb NOT NULL
);

-- The chain: each entry's hash covers the one before it, so that no entry can be changed, taken out or put in between.
-- Of the personal part only a digest is covered, and the part itself goes when the person does.
CREATE TABLE audit_log (
    seq             bigint PRIMARY KEY CHECK (seq > 0),
    at              timestamptz NOT NULL,
    action          text NOT NULL,
    user_id         uuid,
    meta            jsonb NOT NULL,
    personal        jsonb,
    personal_digest bytea NOT NULL CHECK (octet_length(personal_digest) = 32),
    prev_hash       bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash            bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_log_user ON audit_log (user_id, seq);

CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.personal IS NULL THEN
        NEW.personal := OLD.personal;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            NEW.personal := NULL;
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only';
END $$;

CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
