DROP TABLE emotion_instructions;
