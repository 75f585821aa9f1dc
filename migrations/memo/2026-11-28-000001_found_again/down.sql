DROP TABLE memo_revisions;
DROP INDEX memos_trash;
DROP INDEX memos_session;
ALTER TABLE memos DROP COLUMN search_keys;
