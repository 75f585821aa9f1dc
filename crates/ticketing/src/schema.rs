//! The tables and the view of `maru_ticketing`, as the migrations leave them.

diesel::table! {
    seat_layouts (id) {
        id -> Uuid,
        name -> Text,
        description -> Nullable<Text>,
        total_seats -> Int4,
        layout_config -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    events (id) {
        id -> Uuid,
        organizer_id -> Uuid,
        title -> Text,
        description -> Nullable<Text>,
        artist_name -> Nullable<Text>,
        venue -> Text,
        address -> Nullable<Text>,
        event_date -> Timestamptz,
        sale_start_date -> Timestamptz,
        sale_end_date -> Timestamptz,
        poster_image_url -> Nullable<Text>,
        seat_layout_id -> Nullable<Uuid>,
        cancelled_at -> Nullable<Timestamptz>,
        settled_at -> Nullable<Timestamptz>,
        settling_until -> Nullable<Timestamptz>,
        search_text -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    event_listings (id) {
        id -> Uuid,
        title -> Text,
        description -> Nullable<Text>,
        artist_name -> Nullable<Text>,
        venue -> Text,
        address -> Nullable<Text>,
        event_date -> Timestamptz,
        sale_start_date -> Timestamptz,
        sale_end_date -> Timestamptz,
        poster_image_url -> Nullable<Text>,
        seat_layout_id -> Nullable<Uuid>,
        search_text -> Text,
        status -> Text,
        ticket_type_count -> Int8,
        min_price -> Nullable<Int8>,
        max_price -> Nullable<Int8>,
    }
}

diesel::table! {
    ticket_types (id) {
        id -> Uuid,
        event_id -> Uuid,
        name -> Text,
        description -> Nullable<Text>,
        price -> Int8,
        total_quantity -> Int4,
        held -> Int4,
        sold -> Int4,
        created_at -> Timestamptz,
        version -> Int8,
    }
}

diesel::table! {
    seats (id) {
        id -> Uuid,
        event_id -> Uuid,
        section -> Text,
        row_number -> Int4,
        seat_number -> Int4,
        seat_label -> Text,
        price -> Int8,
        status -> Text,
        reservation_id -> Nullable<Uuid>,
        held_until -> Nullable<Timestamptz>,
        version -> Int8,
    }
}

diesel::table! {
    reservations (id) {
        id -> Uuid,
        reservation_number -> Text,
        event_id -> Uuid,
        user_id -> Uuid,
        total_amount -> Int8,
        status -> Text,
        payment_status -> Text,
        payment_method -> Nullable<Text>,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    reservation_seats (reservation_id, seat_id) {
        reservation_id -> Uuid,
        seat_id -> Uuid,
        price -> Int8,
    }
}

diesel::table! {
    reservation_items (reservation_id, ticket_type_id) {
        reservation_id -> Uuid,
        ticket_type_id -> Uuid,
        quantity -> Int4,
        unit_price -> Int8,
        subtotal -> Int8,
    }
}

diesel::table! {
    user_event (user_id, event_id) {
        user_id -> Uuid,
        event_id -> Uuid,
        quantity -> Int4,
    }
}

diesel::table! {
    waiting_list (place) {
        place -> Int8,
        event_id -> Uuid,
        ticket_type_id -> Uuid,
        user_id -> Uuid,
        quantity -> Int4,
        hold_seconds -> Double,
        most_per_event -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    waiting_rooms (event_id) {
        event_id -> Uuid,
        mode -> Text,
        threshold -> Int4,
        rate_per_second -> Nullable<Int4>,
        paused -> Bool,
        opens_at -> Nullable<Timestamptz>,
        settings_version -> Int8,
        generation -> Int4,
        incarnation -> Int4,
        seq_high_water -> Int8,
        fence -> Int8,
        alive_at_ms -> Int8,
        waiting -> Int8,
        log_index -> Int8,
        log_hash -> Binary,
        log_incarnation -> Int4,
        log_change -> Int8,
        inside -> Int8,
        seq -> Int8,
    }
}

diesel::table! {
    queue_admissions (event_id, index) {
        event_id -> Uuid,
        index -> Int8,
        generation -> Int4,
        incarnation -> Int4,
        change -> Int8,
        seq -> Int8,
        user_hash -> Binary,
        admitted_at -> Timestamptz,
        restored -> Bool,
        prev_hash -> Binary,
        hash -> Binary,
    }
}

diesel::joinable!(events -> seat_layouts (seat_layout_id));
diesel::joinable!(ticket_types -> events (event_id));
diesel::joinable!(reservations -> events (event_id));
diesel::joinable!(reservation_seats -> seats (seat_id));
diesel::allow_tables_to_appear_in_same_query!(events, seat_layouts);
diesel::allow_tables_to_appear_in_same_query!(reservations, events);
diesel::allow_tables_to_appear_in_same_query!(reservation_seats, seats);
diesel::allow_tables_to_appear_in_same_query!(seats, events);

diesel::table! {
    payments (id) {
        id -> Uuid,
        reservation_id -> Uuid,
        provider -> Text,
        order_id -> Text,
        payment_key -> Nullable<Text>,
        method -> Text,
        amount -> Int8,
        status -> Text,
        failure -> Nullable<Text>,
        attempts -> Int4,
        round -> Int4,
        next_try_at -> Nullable<Timestamptz>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        authorised_at -> Nullable<Timestamptz>,
        captured_at -> Nullable<Timestamptz>,
        refunded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    payment_webhooks (provider, event_id) {
        provider -> Text,
        event_id -> Text,
        order_id -> Text,
        attempts -> Int4,
        received_at -> Timestamptz,
        next_try_at -> Timestamptz,
        done_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    tickets (id) {
        id -> Uuid,
        reservation_id -> Uuid,
        event_id -> Uuid,
        seat_id -> Nullable<Uuid>,
        ticket_type_id -> Nullable<Uuid>,
        ordinal -> Int4,
        holder_id -> Uuid,
        used_at -> Nullable<Timestamptz>,
        version -> Int8,
        created_at -> Timestamptz,
    }
}
diesel::allow_tables_to_appear_in_same_query!(ticket_types, events);
