-- What is sealed looks like noise: trying to make it smaller costs time with every checkpoint and never succeeds.
ALTER TABLE emotion_steps
    ALTER COLUMN user_input_sealed SET STORAGE EXTERNAL,
    ALTER COLUMN gpt_response_sealed SET STORAGE EXTERNAL,
    ALTER COLUMN reply_ends_sealed SET STORAGE EXTERNAL;
