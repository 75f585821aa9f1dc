-- When somebody proved that mail to the address reaches them; null while nobody has.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

-- Who an account is elsewhere. The provider's own name for the person decides, never an address.
CREATE TABLE identities (
    provider   text NOT NULL CHECK (provider IN ('google')),
    subject    text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (provider, subject),
    UNIQUE (user_id, provider)
);

-- A code that was mailed. The code itself is not kept: it is a MAC over this row's id, so a new row is a new code.
CREATE TABLE action_codes (
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    id         uuid NOT NULL,
    -- The address it was mailed to; it proves nothing about another one.
    email_key  text NOT NULL,
    -- Wrong tries so far.
    attempts   int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);

-- A login with Google that was begun here and has not come back.
CREATE TABLE oauth_states (
    -- SHA-256 of the state the browser carries.
    state_hash   bytea PRIMARY KEY CHECK (octet_length(state_hash) = 32),
    -- SHA-256 of the cookie of the browser that began.
    browser_hash bytea NOT NULL CHECK (octet_length(browser_hash) = 32),
    redirect_uri text NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX oauth_states_expires_at ON oauth_states (expires_at);

-- What may be shown once: SHA-256 of nonces and id tokens, kept until they could not be used anyway.
CREATE TABLE used_proofs (
    hash       bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_proofs_expires_at ON used_proofs (expires_at);
