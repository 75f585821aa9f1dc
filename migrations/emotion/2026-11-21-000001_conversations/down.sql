DROP TABLE emotion_steps;
DROP TABLE emotion_sessions;
