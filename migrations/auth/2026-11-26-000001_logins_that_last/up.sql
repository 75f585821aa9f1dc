-- A login lasts beyond its first access token: its refresh token is exchanged again and again. One row, one counter; the
-- token itself is not kept, it is a MAC over the login and the counter. `domain::refresh` has the rule.
ALTER TABLE logins
    -- The number of the current refresh token.
    ADD COLUMN refresh_counter     int NOT NULL DEFAULT 0 CHECK (refresh_counter >= 0),
    ADD COLUMN refreshed_at        timestamptz,
    -- Whether the current token, or an access token made with it, was seen at work.
    ADD COLUMN successor_used      boolean NOT NULL DEFAULT false,
    -- The oldest token exchanged in the current run of exchanges, and when.
    ADD COLUMN run_counter         int,
    ADD COLUMN run_began_at        timestamptz,
    -- The refresh token is good until the first of these; each exchange moves the first one.
    ADD COLUMN idle_expires_at     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN absolute_expires_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_seen_at        timestamptz NOT NULL DEFAULT now(),
    -- How it was proved who it is.
    ADD COLUMN method              text NOT NULL DEFAULT 'password' CHECK (method IN ('password', 'google')),
    -- Where it began, and the part of it that one household shares.
    ADD COLUMN ip                  text,
    ADD COLUMN ip_prefix           text,
    ADD CONSTRAINT run_is_whole CHECK (num_nonnulls(run_counter, run_began_at) <> 1);

-- A person's logins that may still count, newest use first: the list, and what is ended when there are too many.
CREATE INDEX logins_live ON logins (user_id, last_seen_at DESC) WHERE revoked_at IS NULL;

-- What gateways must refuse. Apart from `logins`, because it outlives the account.
CREATE TABLE revoked_logins (
    login_id   uuid PRIMARY KEY,
    revoked_at timestamptz NOT NULL,
    -- When no access token of it is valid any more.
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_logins_revoked_at ON revoked_logins (revoked_at);
CREATE INDEX revoked_logins_expires_at ON revoked_logins (expires_at);

INSERT INTO revoked_logins (login_id, revoked_at, expires_at)
SELECT id, revoked_at, expires_at FROM logins WHERE revoked_at IS NOT NULL AND expires_at > now();

DROP INDEX logins_revoked;
