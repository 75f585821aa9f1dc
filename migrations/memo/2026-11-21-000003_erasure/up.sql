-- Everything of a person, in the trash or not: what an export and an erasure read.
CREATE INDEX memos_user ON memos (user_id, id);
CREATE INDEX attachments_user ON attachments (user_id, id);

-- Files that were erased while a URL to upload them still lived. What arrives after the erasure is deleted when it can
-- no longer arrive, and so is the row.
CREATE TABLE late_uploads (
    object_key text PRIMARY KEY,
    -- No upload that was permitted is still going on then.
    due_at     timestamptz NOT NULL
);

CREATE INDEX late_uploads_due ON late_uploads (due_at);
