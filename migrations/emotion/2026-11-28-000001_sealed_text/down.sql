-- What is sealed is lost: the version before cannot read it.
DROP TABLE emotion_usage;
DROP TABLE emotion_prompts;
DROP INDEX emotion_steps_running_user;
DROP INDEX emotion_steps_client_msg;

UPDATE emotion_steps SET status = 'interrupted' WHERE status IN ('failed', 'blocked');

ALTER TABLE emotion_steps
    DROP CONSTRAINT emotion_steps_status_check,
    ADD CONSTRAINT emotion_steps_status_check CHECK
        (status IN ('pending', 'streaming', 'complete', 'stopped', 'interrupted')),
    ALTER COLUMN user_input DROP DEFAULT,
    DROP COLUMN user_id,
    DROP COLUMN user_input_sealed,
    DROP COLUMN gpt_response_sealed,
    DROP COLUMN insight_tag_sealed,
    DROP COLUMN emotion_sealed,
    DROP COLUMN client_msg_id,
    DROP COLUMN reply_seq,
    DROP COLUMN attempt,
    DROP COLUMN arc_step,
    DROP COLUMN risk_level,
    DROP COLUMN model,
    DROP COLUMN finish_reason,
    DROP COLUMN prompt_tokens,
    DROP COLUMN completion_tokens,
    DROP COLUMN input_tokens,
    DROP COLUMN reply_tokens,
    DROP COLUMN reserved_tokens,
    DROP COLUMN ttft_ms;

DROP INDEX emotion_sessions_started;

ALTER TABLE emotion_sessions
    DROP COLUMN emotion_label_sealed,
    DROP COLUMN topic_sealed,
    DROP COLUMN trigger_summary_sealed,
    DROP COLUMN insight_summary_sealed,
    DROP COLUMN rolling_summary_sealed,
    DROP COLUMN rolling_summary_order,
    DROP COLUMN rolling_summary_tokens,
    DROP COLUMN arc_step,
    DROP COLUMN arc_state,
    DROP COLUMN risk_level,
    DROP COLUMN risk_state,
    DROP COLUMN prompt_version,
    DROP COLUMN card_sealed,
    DROP COLUMN card_source,
    DROP COLUMN card_order,
    DROP COLUMN card_at,
    DROP COLUMN card_memo_id;

DROP TABLE person_keys;
