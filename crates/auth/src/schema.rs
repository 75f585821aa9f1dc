//! The tables of `maru_auth`, as the migrations leave them.

diesel::table! {
    users (id) {
        id -> Uuid,
        name -> Text,
        email -> Text,
        email_key -> Text,
        phone -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        role -> Text,
        provider -> Text,
        locale -> Text,
        timezone -> Text,
        picture -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        email_verified_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    logins (id) {
        id -> Uuid,
        user_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        refresh_counter -> Integer,
        refreshed_at -> Nullable<Timestamptz>,
        successor_used -> Bool,
        run_counter -> Nullable<Integer>,
        run_began_at -> Nullable<Timestamptz>,
        idle_expires_at -> Timestamptz,
        absolute_expires_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        method -> Text,
        ip -> Nullable<Text>,
        ip_prefix -> Nullable<Text>,
    }
}

diesel::table! {
    revoked_logins (login_id) {
        login_id -> Uuid,
        revoked_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    identities (provider, subject) {
        provider -> Text,
        subject -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    action_codes (user_id, purpose) {
        user_id -> Uuid,
        purpose -> Text,
        id -> Uuid,
        email_key -> Text,
        attempts -> Integer,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    oauth_states (state_hash) {
        state_hash -> Binary,
        browser_hash -> Binary,
        redirect_uri -> Text,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    used_proofs (hash) {
        hash -> Binary,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    audit_pending (id) {
        id -> Uuid,
        at -> Timestamptz,
        action -> Text,
        user_id -> Nullable<Uuid>,
        meta -> Jsonb,
        personal -> Jsonb,
    }
}

diesel::table! {
    audit_log (seq) {
        seq -> BigInt,
        at -> Timestamptz,
        action -> Text,
        user_id -> Nullable<Uuid>,
        meta -> Jsonb,
        personal -> Nullable<Jsonb>,
        personal_digest -> Binary,
        prev_hash -> Binary,
        hash -> Binary,
    }
}

diesel::table! {
    erasures (id) {
        id -> Uuid,
        requested_at -> Timestamptz,
    }
}

diesel::table! {
    erasure_services (erasure_id, service) {
        erasure_id -> Uuid,
        service -> Text,
        erased -> Jsonb,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(logins -> users (user_id));
diesel::joinable!(identities -> users (user_id));
diesel::joinable!(action_codes -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(logins, users);
diesel::allow_tables_to_appear_in_same_query!(identities, users);
diesel::allow_tables_to_appear_in_same_query!(action_codes, users);
