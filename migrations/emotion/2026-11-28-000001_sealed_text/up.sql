-- What a person wrote, and what was answered, is kept sealed: AES-256-GCM with a key of the person's own, bound to its
-- row and column. A sealed column that is empty means that the row was written before; its plain neighbour counts then,
-- and nothing else is written into the plain ones.

-- The key of each person, wrapped by the master key that `master_key_id` names. Whoever deletes this row has erased the
-- person's text wherever a copy of it is.
CREATE TABLE person_keys (
    user_id       uuid PRIMARY KEY,
    wrapped_key   bytea NOT NULL,
    master_key_id text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- For wrapping anew what an older master key wrapped.
CREATE INDEX person_keys_master ON person_keys (master_key_id);

ALTER TABLE emotion_sessions
    ADD COLUMN emotion_label_sealed   bytea,
    ADD COLUMN topic_sealed           bytea,
    ADD COLUMN trigger_summary_sealed bytea,
    ADD COLUMN insight_summary_sealed bytea,
    -- What was said until this step, in short; the steps up to it are not told to the model any more.
    ADD COLUMN rolling_summary_sealed bytea,
    ADD COLUMN rolling_summary_order  int NOT NULL DEFAULT 0,
    ADD COLUMN rolling_summary_tokens int NOT NULL DEFAULT 0,
    -- Where in the arc the conversation is, and what else its rules remember. Numbers and names, never a word of the
    -- person's.
    ADD COLUMN arc_step               smallint NOT NULL DEFAULT 1,
    ADD COLUMN arc_state              jsonb,
    -- The highest level of danger so far, and what the rules remember of it.
    ADD COLUMN risk_level             smallint NOT NULL DEFAULT 0 CHECK (risk_level BETWEEN 0 AND 3),
    ADD COLUMN risk_state             jsonb,
    -- Which version of the person's prompt the last reply was given.
    ADD COLUMN prompt_version         int,
    -- The summary card, who made it (`model` or `rules`), from how many steps, and the memo it was saved as. The memo's
    -- id is written before the memo, so that saving twice saves once.
    ADD COLUMN card_sealed            bytea,
    ADD COLUMN card_source            text CHECK (card_source IN ('model', 'rules')),
    ADD COLUMN card_order             int,
    ADD COLUMN card_at                timestamptz,
    ADD COLUMN card_memo_id           uuid;

-- What nobody touched for long, for the sweeper of old conversations.
CREATE INDEX emotion_sessions_started ON emotion_sessions (started_at);

ALTER TABLE emotion_steps
    ALTER COLUMN user_input SET DEFAULT '',
    ADD COLUMN user_id             uuid,
    ADD COLUMN user_input_sealed   bytea,
    ADD COLUMN gpt_response_sealed bytea,
    ADD COLUMN insight_tag_sealed  bytea,
    ADD COLUMN emotion_sealed      bytea,
    -- The client's own name of the message: sent twice it is one step.
    ADD COLUMN client_msg_id       text CHECK (client_msg_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    -- How many pieces of the reply are in the kept text, and in which try: an interrupted reply may be asked for again.
    ADD COLUMN reply_seq           int NOT NULL DEFAULT 0 CHECK (reply_seq >= 0),
    ADD COLUMN attempt             int NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    ADD COLUMN arc_step            smallint,
    ADD COLUMN risk_level          smallint NOT NULL DEFAULT 0 CHECK (risk_level BETWEEN 0 AND 3),
    ADD COLUMN model               text,
    ADD COLUMN finish_reason       text,
    -- Tokens as the provider counted them, and as we count what was said and answered, for the next prompt.
    ADD COLUMN prompt_tokens       int,
    ADD COLUMN completion_tokens   int,
    ADD COLUMN input_tokens        int,
    ADD COLUMN reply_tokens        int,
    -- Taken from the person's day until the reply has ended and its real cost is known.
    ADD COLUMN reserved_tokens     int NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0),
    ADD COLUMN ttft_ms             int,
    DROP CONSTRAINT emotion_steps_status_check,
    ADD CONSTRAINT emotion_steps_status_check CHECK
        (status IN ('pending', 'streaming', 'complete', 'stopped', 'interrupted', 'failed', 'blocked'));

-- A message that is sent again is found again.
CREATE UNIQUE INDEX emotion_steps_client_msg ON emotion_steps (session_id, client_msg_id)
    WHERE client_msg_id IS NOT NULL;

-- How many replies to a person are being written.
CREATE INDEX emotion_steps_running_user ON emotion_steps (user_id) WHERE status IN ('pending', 'streaming');

-- How each person would like to be answered: every version that was ever in force, at most one of them now.
CREATE TABLE emotion_prompts (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL,
    version       int NOT NULL CHECK (version >= 1),
    prompt_sealed bytea NOT NULL,
    created_at    timestamptz NOT NULL,
    retired_at    timestamptz,
    UNIQUE (user_id, version)
);

CREATE UNIQUE INDEX emotion_prompts_active ON emotion_prompts (user_id) WHERE retired_at IS NULL;

-- What a person used on a day (UTC). Reserved before a reply and settled after it; also the row that lets one message
-- of a person after the other.
CREATE TABLE emotion_usage (
    user_id  uuid NOT NULL,
    day      date NOT NULL,
    tokens   bigint NOT NULL DEFAULT 0 CHECK (tokens >= 0),
    messages int NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, day)
);

-- For forgetting days that are long over.
CREATE INDEX emotion_usage_day ON emotion_usage (day);
