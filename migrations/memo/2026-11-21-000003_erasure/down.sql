DROP TABLE late_uploads;
DROP INDEX attachments_user;
DROP INDEX memos_user;
