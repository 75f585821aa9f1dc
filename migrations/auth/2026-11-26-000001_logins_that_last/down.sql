CREATE INDEX logins_revoked ON logins (expires_at) WHERE revoked_at IS NOT NULL;
DROP TABLE revoked_logins;
DROP INDEX logins_live;
ALTER TABLE logins
    DROP CONSTRAINT run_is_whole,
    DROP COLUMN refresh_counter, DROP COLUMN refreshed_at, DROP COLUMN successor_used, DROP COLUMN run_counter,
    DROP COLUMN run_began_at, DROP COLUMN idle_expires_at, DROP COLUMN absolute_expires_at, DROP COLUMN last_seen_at,
    DROP COLUMN method, DROP COLUMN ip, DROP COLUMN ip_prefix;
