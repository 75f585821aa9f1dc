//! The tables of `maru_emotion`, as the migrations leave them.

diesel::table! {
    emotion_sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        emotion_label -> Nullable<Text>,
        topic -> Nullable<Text>,
        trigger_summary -> Nullable<Text>,
        insight_summary -> Nullable<Text>,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    emotion_steps (id) {
        id -> Uuid,
        session_id -> Uuid,
        step_order -> Integer,
        step_type -> Text,
        user_input -> Text,
        gpt_response -> Text,
        status -> Text,
        provider -> Text,
        insight_tag -> Nullable<Text>,
        emotion -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        lease_until -> Timestamptz,
    }
}

diesel::joinable!(emotion_steps -> emotion_sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(emotion_sessions, emotion_steps);
