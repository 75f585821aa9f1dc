-- Keys of the neighbouring letters of a memo's text and tags, digests that hold the owner too: what a search narrows
-- memos down with before it reads them. Null until they are made; the service makes those that are missing.
ALTER TABLE memos ADD COLUMN search_keys integer[];
-- Digests do not get smaller by compressing them.
ALTER TABLE memos ALTER COLUMN search_keys SET STORAGE EXTERNAL;

CREATE INDEX memos_search_keys ON memos USING gin (search_keys);
CREATE INDEX memos_without_search_keys ON memos (id) WHERE search_keys IS NULL;

-- A person's memos of a focus session.
CREATE INDEX memos_session ON memos (user_id, session_id) WHERE session_id IS NOT NULL;
-- What leaves the trash for good, the oldest first.
CREATE INDEX memos_trash ON memos (deleted_at) WHERE deleted_at IS NOT NULL;

-- What a memo was before it was changed; the newest few are kept.
CREATE TABLE memo_revisions (
    memo_id     uuid NOT NULL REFERENCES memos (id) ON DELETE CASCADE,
    version     bigint NOT NULL,
    content     text NOT NULL,
    tags        text[] NOT NULL,
    category    text,
    session_id  uuid,
    metadata    jsonb NOT NULL,
    -- Since when it was so, and until when.
    written_at  timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (memo_id, version)
);
