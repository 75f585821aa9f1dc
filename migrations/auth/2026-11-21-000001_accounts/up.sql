-- One account serves every room of the house.
CREATE TABLE users (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    -- As the person wrote it; `email_key` decides whether two are the same.
    email         text NOT NULL,
    email_key     text NOT NULL UNIQUE,
    phone         text,
    -- PHC string of argon2id; null for accounts that log in another way.
    password_hash text,
    role          text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'organizer', 'admin')),
    provider      text NOT NULL DEFAULT 'password',
    locale        text NOT NULL DEFAULT 'ko' CHECK (locale IN ('ko', 'en')),
    timezone      text NOT NULL DEFAULT 'Asia/Seoul',
    picture       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- One login of a person on one device. The truth about whether its tokens count.
CREATE TABLE logins (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- When the last access token issued for it ends.
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    revoke_reason text,
    user_agent    text
);

CREATE INDEX logins_user_id ON logins (user_id);
-- What a gateway must refuse: revoked and not yet forgotten.
CREATE INDEX logins_revoked ON logins (expires_at) WHERE revoked_at IS NOT NULL;
