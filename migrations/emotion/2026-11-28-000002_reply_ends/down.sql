ALTER TABLE emotion_steps DROP COLUMN reply_ends_sealed;
