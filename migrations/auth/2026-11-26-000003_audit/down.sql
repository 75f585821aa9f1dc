DROP TABLE audit_log, audit_pending;
DROP FUNCTION audit_log_is_append_only();
