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
        emotion_label_sealed -> Nullable<Binary>,
        topic_sealed -> Nullable<Binary>,
        trigger_summary_sealed -> Nullable<Binary>,
        insight_summary_sealed -> Nullable<Binary>,
        rolling_summary_sealed -> Nullable<Binary>,
        rolling_summary_order -> Integer,
        rolling_summary_tokens -> Integer,
        arc_step -> SmallInt,
        arc_state -> Nullable<Jsonb>,
        risk_level -> SmallInt,
        risk_state -> Nullable<Jsonb>,
        prompt_version -> Nullable<Integer>,
        card_sealed -> Nullable<Binary>,
        card_source -> Nullable<Text>,
        card_order -> Nullable<Integer>,
        card_at -> Nullable<Timestamptz>,
        card_memo_id -> Nullable<Uuid>,
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
        user_id -> Nullable<Uuid>,
        user_input_sealed -> Nullable<Binary>,
        gpt_response_sealed -> Nullable<Binary>,
        insight_tag_sealed -> Nullable<Binary>,
        emotion_sealed -> Nullable<Binary>,
        client_msg_id -> Nullable<Text>,
        reply_seq -> Integer,
        attempt -> Integer,
        arc_step -> Nullable<SmallInt>,
        risk_level -> SmallInt,
        model -> Nullable<Text>,
        finish_reason -> Nullable<Text>,
        prompt_tokens -> Nullable<Integer>,
        completion_tokens -> Nullable<Integer>,
        input_tokens -> Nullable<Integer>,
        reply_tokens -> Nullable<Integer>,
        reserved_tokens -> Integer,
        ttft_ms -> Nullable<Integer>,
        reply_ends_sealed -> Nullable<Binary>,
    }
}

diesel::table! {
    person_keys (user_id) {
        user_id -> Uuid,
        wrapped_key -> Binary,
        master_key_id -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    emotion_prompts (id) {
        id -> Uuid,
        user_id -> Uuid,
        version -> Integer,
        prompt_sealed -> Binary,
        created_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    emotion_usage (user_id, day) {
        user_id -> Uuid,
        day -> Date,
        tokens -> BigInt,
        messages -> Integer,
    }
}

diesel::table! {
    emotion_instructions (id) {
        id -> SmallInt,
        text -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(emotion_steps -> emotion_sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(emotion_sessions, emotion_steps);
