DROP TABLE timer_deadlines;
DROP FUNCTION append_session_event;
DROP TABLE session_events;
