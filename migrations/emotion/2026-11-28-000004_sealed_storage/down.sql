ALTER TABLE emotion_steps
    ALTER COLUMN user_input_sealed SET STORAGE EXTENDED,
    ALTER COLUMN gpt_response_sealed SET STORAGE EXTENDED,
    ALTER COLUMN reply_ends_sealed SET STORAGE EXTENDED;
