DROP TABLE outbox;
DROP TABLE focus_intervals;
DROP TABLE focus_sessions;
