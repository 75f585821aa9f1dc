DROP TABLE timers;
DROP TABLE sessions;
