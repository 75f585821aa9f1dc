-- Objects that no row owns: each is deleted from the object storage when it is due, and its row here when it is gone.
-- Whatever may bring an object into being is written here first and taken out by the transaction that makes a file its
-- owner, so a crash between any two steps leaves something to find the object by.
ALTER TABLE late_uploads RENAME TO unowned_objects;
ALTER INDEX late_uploads_pkey RENAME TO unowned_objects_pkey;
ALTER INDEX late_uploads_due RENAME TO unowned_objects_due;
ALTER TABLE unowned_objects
    -- Whose they are; null where their bytes count for nobody.
    ADD COLUMN user_id       uuid,
    ADD COLUMN counted_bytes bigint NOT NULL DEFAULT 0 CHECK (counted_bytes >= 0),
    -- An upload in parts that is still open; it ends with the object.
    ADD COLUMN multipart_id  text,
    -- Its deletion has begun: nobody can take it any more.
    ADD COLUMN is_dying      boolean NOT NULL DEFAULT false,
    ADD CHECK (counted_bytes = 0 OR user_id IS NOT NULL);

ALTER TABLE attachments
    -- The object of a file that is ready; null in rows that are older than this column, whose object has their own id.
    ADD COLUMN object_id     uuid,
    -- What counts against its owner: what was let in or may still come.
    ADD COLUMN counted_bytes bigint GENERATED ALWAYS AS (CASE state WHEN 'rejected' THEN 0 ELSE size END) STORED NOT NULL,
    -- Since when the object of a ready file has not been found; such a file is not shown.
    ADD COLUMN missing_since timestamptz,
    -- When the object was last looked for.
    ADD COLUMN seen_at       timestamptz;

CREATE INDEX attachments_initiated ON attachments (upload_expires_at) WHERE state = 'initiated';
CREATE INDEX attachments_rejected ON attachments (created_at) WHERE state = 'rejected';
CREATE INDEX attachments_object ON attachments (object_id);
CREATE INDEX attachments_seen ON attachments (seen_at NULLS FIRST) WHERE state = 'ready';

-- Bytes of a person: the sum over both tables, kept by them. Whoever adds some holds the row until their transaction
-- ends, and looks at the sum then, so that no two of them can both take the last of it.
CREATE TABLE storage_usage (
    user_id uuid PRIMARY KEY,
    bytes   bigint NOT NULL CHECK (bytes >= 0)
);

INSERT INTO storage_usage
SELECT user_id, sum(counted_bytes) FROM attachments GROUP BY user_id HAVING sum(counted_bytes) > 0;

-- In the order of people's ids, so that two transactions that count for several wait and do not deadlock.
CREATE FUNCTION count_bytes_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO storage_usage AS usage (user_id, bytes)
    SELECT user_id, sum(counted_bytes) FROM new_rows
    WHERE counted_bytes > 0 GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET bytes = usage.bytes + excluded.bytes;
    RETURN NULL;
END $$;

CREATE FUNCTION count_bytes_out() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone record;
BEGIN
    FOR gone IN SELECT user_id, sum(counted_bytes) AS bytes FROM old_rows
                WHERE counted_bytes > 0 GROUP BY user_id ORDER BY user_id
    LOOP
        UPDATE storage_usage SET bytes = bytes - gone.bytes WHERE user_id = gone.user_id;
        -- Nothing is kept about a person who has nothing here.
        DELETE FROM storage_usage WHERE user_id = gone.user_id AND bytes = 0;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION count_bytes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    FOR changed IN SELECT user_id, sum(bytes) AS bytes
                   FROM (SELECT user_id, counted_bytes AS bytes FROM new_rows
                         UNION ALL SELECT user_id, -counted_bytes FROM old_rows) both_rows
                   WHERE user_id IS NOT NULL
                   GROUP BY user_id HAVING sum(bytes) <> 0 ORDER BY user_id
    LOOP
        IF changed.bytes > 0 THEN
            INSERT INTO storage_usage AS usage (user_id, bytes) VALUES (changed.user_id, changed.bytes)
            ON CONFLICT (user_id) DO UPDATE SET bytes = usage.bytes + excluded.bytes;
        ELSE
            UPDATE storage_usage SET bytes = bytes + changed.bytes WHERE user_id = changed.user_id;
            DELETE FROM storage_usage WHERE user_id = changed.user_id AND bytes = 0;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER attachments_in AFTER INSERT ON attachments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_in();
CREATE TRIGGER attachments_out AFTER DELETE ON attachments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_out();
CREATE TRIGGER attachments_changed AFTER UPDATE ON attachments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_changed();
CREATE TRIGGER unowned_in AFTER INSERT ON unowned_objects
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_in();
CREATE TRIGGER unowned_out AFTER DELETE ON unowned_objects
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_out();
CREATE TRIGGER unowned_changed AFTER UPDATE ON unowned_objects
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_bytes_changed();

-- A file that is deleted, by whatever statement, leaves its objects to be deleted: the deletion of the row is the
-- message, and neither can be without the other. What is ready is due at once; what may still come is due when no upload
-- that was permitted goes on any more, an hour after its URL has ended.
CREATE FUNCTION disown_objects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unowned_objects (object_key, due_at, user_id, counted_bytes)
    SELECT 'memo/' || user_id || '/' || coalesce(object_id, id),
           -- Older files were uploaded to the key they lie under.
           CASE WHEN object_id IS NULL THEN greatest(now(), upload_expires_at + interval '1 hour') ELSE now() END,
           user_id, counted_bytes
    FROM old_rows WHERE state = 'ready' OR object_id IS NULL
    UNION ALL
    SELECT 'upload/' || user_id || '/' || id, greatest(now(), upload_expires_at + interval '1 hour'), user_id, 0
    FROM old_rows WHERE upload_expires_at + interval '1 hour' > now() OR state <> 'ready'
    UNION ALL
    SELECT 'thumbnail/' || user_id || '/' || object_id, now(), user_id, 0
    FROM old_rows WHERE kind = 'image' AND object_id IS NOT NULL
    ON CONFLICT (object_key) DO UPDATE SET due_at = greatest(unowned_objects.due_at, excluded.due_at);
    RETURN NULL;
END $$;

CREATE TRIGGER attachments_disown AFTER DELETE ON attachments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION disown_objects();
