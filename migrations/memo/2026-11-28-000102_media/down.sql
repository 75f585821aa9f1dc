ALTER TABLE attachments
    DROP COLUMN preview, DROP COLUMN preview_attempts, DROP COLUMN preview_due_at, DROP COLUMN width,
    DROP COLUMN height, DROP COLUMN has_thumbnail, DROP COLUMN duration_ms, DROP COLUMN waveform;
