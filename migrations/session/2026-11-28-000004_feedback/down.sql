DROP TABLE feedback_cues;
DROP TABLE feedback_states;
DROP TABLE feedback_settings;
