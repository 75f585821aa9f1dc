//! What many tests of one thing begin with, when a whole crowd meets at one moment.

/// How many focus sessions are over at about the same time in [`FOCUS_STORM`].
pub const FOCUS_SESSIONS: i64 = 10_000;

/// Writes down every completion and every piece of news, whatever becomes of it later, and makes the sessions: each of
/// another person, over between four and five seconds from now.
pub const FOCUS_STORM: &str = "
    CREATE TABLE fired (session_id uuid NOT NULL, due_at timestamptz NOT NULL, at timestamptz NOT NULL);
    CREATE FUNCTION log_fired() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO fired VALUES (NEW.id, OLD.due_at, clock_timestamp()); RETURN NEW; END';
    CREATE TRIGGER log_fired AFTER UPDATE ON focus_sessions FOR EACH ROW
        WHEN (OLD.status = 'started' AND NEW.status = 'completed') EXECUTE FUNCTION log_fired();
    CREATE TABLE written (session_id uuid NOT NULL);
    CREATE FUNCTION log_written() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO written VALUES ((NEW.payload->>''session_id'')::uuid); RETURN NEW; END';
    CREATE TRIGGER log_written AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION log_written();
    INSERT INTO focus_sessions (id, user_id, subject, duration_minutes, break_minutes, status, anchor_at, due_at,
        created_at, updated_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'storm', 1, 0, 'started', due - interval '1 minute', due, now(), now()
    FROM (SELECT date_trunc('milliseconds', now()) + interval '4 seconds' + n % 1000 * interval '1 millisecond' AS due
          FROM generate_series(1, 10000) n) AS times;
";
