//! The tables of `maru_session`, as the migrations leave them.

diesel::table! {
    focus_intervals (session_id, started_at) {
        session_id -> Uuid,
        started_at -> Timestamptz,
        ended_at -> Timestamptz,
        user_id -> Uuid,
    }
}

diesel::table! {
    focus_sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        ordinal -> BigInt,
        subject -> Text,
        goal -> Nullable<Text>,
        duration_minutes -> Integer,
        break_minutes -> Integer,
        tags -> Array<Text>,
        reflection -> Nullable<Text>,
        status -> Text,
        accumulated_ms -> BigInt,
        anchor_at -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        version -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        title -> Text,
        description -> Nullable<Text>,
        kind -> Text,
        status -> Text,
        session_code -> Text,
        event_id -> Nullable<Uuid>,
        settings -> Jsonb,
        metadata -> Jsonb,
        summary -> Nullable<Jsonb>,
        started_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        active_since -> Nullable<Timestamptz>,
        active_ms -> BigInt,
        participant_count -> Integer,
    }
}

diesel::table! {
    session_codes (code) {
        code -> Text,
        released_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    participants (id) {
        id -> Uuid,
        session_id -> Uuid,
        user_id -> Nullable<Uuid>,
        display_name -> Text,
        joined_at -> Timestamptz,
        left_at -> Nullable<Timestamptz>,
        join_key -> Nullable<Binary>,
    }
}

diesel::table! {
    timers (session_id) {
        session_id -> Uuid,
        duration_seconds -> Integer,
        alerts -> Jsonb,
        started_at -> Nullable<Timestamptz>,
        anchor_at -> Nullable<Timestamptz>,
        paused_at -> Nullable<Timestamptz>,
        accumulated_ms -> BigInt,
        version -> BigInt,
    }
}

diesel::table! {
    session_events (session_id, seq) {
        session_id -> Uuid,
        seq -> BigInt,
        kind -> Text,
        body -> Nullable<Jsonb>,
        once_key -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    timer_deadlines (session_id, version, once_key) {
        session_id -> Uuid,
        version -> BigInt,
        alert -> Text,
        remaining_seconds -> Integer,
        once_key -> Text,
        due_at -> Timestamptz,
    }
}

diesel::table! {
    feedback_settings (session_id, user_id) {
        session_id -> Uuid,
        user_id -> Uuid,
        settings -> Jsonb,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    feedback_states (session_id, user_id) {
        session_id -> Uuid,
        user_id -> Uuid,
        state -> Jsonb,
        totals -> Jsonb,
    }
}

diesel::table! {
    feedback_cues (id) {
        id -> Uuid,
        session_id -> Uuid,
        user_id -> Uuid,
        rule -> Text,
        pattern -> Text,
        intensity -> SmallInt,
        at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::joinable!(focus_intervals -> focus_sessions (session_id));
diesel::joinable!(timers -> sessions (session_id));
diesel::joinable!(participants -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(focus_intervals, focus_sessions);
diesel::allow_tables_to_appear_in_same_query!(sessions, timers, participants);
diesel::allow_tables_to_appear_in_same_query!(sessions, feedback_settings, feedback_states);
