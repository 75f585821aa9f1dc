-- What a person kept. The free part is `metadata`; a key that is queried by range becomes a column.
CREATE TABLE memos (
    id                  uuid PRIMARY KEY,
    user_id             uuid NOT NULL,
    content             text NOT NULL CHECK (char_length(content) <= 100000),
    tags                text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 50),
    category            text,
    -- How sure a classifier was of the category; null when the person chose it.
    category_confidence real CHECK (category_confidence BETWEEN 0 AND 1),
    -- A focus session in the session service's database.
    session_id          uuid,
    metadata            jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    is_archived         boolean NOT NULL DEFAULT false,
    -- Grows with every change of what the person wrote, and with nothing else.
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    -- In the trash since then.
    deleted_at          timestamptz
);

-- A person's memos of some days, newest first.
CREATE INDEX memos_user_created ON memos (user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX memos_tags ON memos USING gin (tags);
CREATE INDEX memos_metadata ON memos USING gin (metadata jsonb_path_ops);

-- A file of a memo. Its bytes are in the object storage under `memo/<user_id>/<id>`; the row outlives them, so that a
-- crash leaves something to find them by.
CREATE TABLE attachments (
    id                uuid PRIMARY KEY,
    memo_id           uuid NOT NULL REFERENCES memos (id),
    user_id           uuid NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('image', 'audio', 'file')),
    filename          text NOT NULL,
    -- Size, type and digest are those declared; once `ready`, the object storage has confirmed them.
    content_type      text NOT NULL,
    size              bigint NOT NULL CHECK (size > 0),
    sha256            bytea CHECK (octet_length(sha256) = 32),
    -- initiated: an upload was allowed; ready: it is there and as declared; rejected: it was not as declared.
    state             text NOT NULL DEFAULT 'initiated' CHECK (state IN ('initiated', 'ready', 'rejected')),
    reject_reason     text,
    -- When the last URL to upload it ends.
    upload_expires_at timestamptz NOT NULL,
    created_at        timestamptz NOT NULL,
    ready_at          timestamptz,
    CHECK ((state = 'rejected') = (reject_reason IS NOT NULL)),
    CHECK ((state = 'ready') = (ready_at IS NOT NULL))
);

CREATE INDEX attachments_memo ON attachments (memo_id);
