DROP TABLE session_codes;
DROP TABLE participants;
ALTER TABLE sessions DROP COLUMN participant_count, DROP COLUMN active_ms, DROP COLUMN active_since;
