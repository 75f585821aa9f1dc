-- What is shown of an image or a recording before it is opened, made by a job once the file is ready. Null for files of
-- which nothing is made.
ALTER TABLE attachments
    ADD COLUMN preview          text CHECK (preview IN ('processing', 'ready', 'failed')),
    -- How often the job has begun, and when the next try is due.
    ADD COLUMN preview_attempts smallint NOT NULL DEFAULT 0,
    ADD COLUMN preview_due_at   timestamptz,
    -- Of an image, pixels as it is shown.
    ADD COLUMN width            integer,
    ADD COLUMN height           integer,
    -- Whether a small picture of it lies under `thumbnail/<user_id>/<object_id>`.
    ADD COLUMN has_thumbnail    boolean NOT NULL DEFAULT false,
    -- Of a recording.
    ADD COLUMN duration_ms      bigint,
    -- Of a recording: how loud it is over its length, 0-127 a value.
    ADD COLUMN waveform         bytea;

CREATE INDEX attachments_preview_due ON attachments (preview_due_at) WHERE preview = 'processing';
