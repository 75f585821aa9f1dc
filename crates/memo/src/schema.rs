//! The tables of `maru_memo`, as the migrations leave them.

diesel::table! {
    memos (id) {
        id -> Uuid,
        user_id -> Uuid,
        content -> Text,
        tags -> Array<Text>,
        category -> Nullable<Text>,
        category_confidence -> Nullable<Float>,
        session_id -> Nullable<Uuid>,
        metadata -> Jsonb,
        is_archived -> Bool,
        version -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        search_keys -> Nullable<Array<Integer>>,
    }
}

diesel::table! {
    attachments (id) {
        id -> Uuid,
        memo_id -> Uuid,
        user_id -> Uuid,
        kind -> Text,
        filename -> Text,
        content_type -> Text,
        size -> BigInt,
        sha256 -> Nullable<Binary>,
        state -> Text,
        reject_reason -> Nullable<Text>,
        upload_expires_at -> Timestamptz,
        created_at -> Timestamptz,
        ready_at -> Nullable<Timestamptz>,
        object_id -> Nullable<Uuid>,
        counted_bytes -> BigInt,
        missing_since -> Nullable<Timestamptz>,
        seen_at -> Nullable<Timestamptz>,
        preview -> Nullable<Text>,
        preview_attempts -> SmallInt,
        preview_due_at -> Nullable<Timestamptz>,
        width -> Nullable<Integer>,
        height -> Nullable<Integer>,
        has_thumbnail -> Bool,
        duration_ms -> Nullable<BigInt>,
        waveform -> Nullable<Binary>,
    }
}

diesel::table! {
    unowned_objects (object_key) {
        object_key -> Text,
        due_at -> Timestamptz,
        user_id -> Nullable<Uuid>,
        counted_bytes -> BigInt,
        multipart_id -> Nullable<Text>,
        is_dying -> Bool,
    }
}

diesel::table! {
    storage_usage (user_id) {
        user_id -> Uuid,
        bytes -> BigInt,
    }
}

diesel::table! {
    memo_revisions (memo_id, version) {
        memo_id -> Uuid,
        version -> BigInt,
        content -> Text,
        tags -> Array<Text>,
        category -> Nullable<Text>,
        session_id -> Nullable<Uuid>,
        metadata -> Jsonb,
        written_at -> Timestamptz,
        replaced_at -> Timestamptz,
    }
}

diesel::joinable!(attachments -> memos (memo_id));
diesel::joinable!(memo_revisions -> memos (memo_id));
diesel::allow_tables_to_appear_in_same_query!(attachments, memo_revisions, memos);
