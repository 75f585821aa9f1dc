DROP TABLE attachments;
DROP TABLE memos;
