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
    }
}

diesel::joinable!(logins -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(logins, users);
