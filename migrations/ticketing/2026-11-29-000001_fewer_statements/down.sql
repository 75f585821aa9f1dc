CREATE OR REPLACE FUNCTION reserve_batch(
    p_ids uuid[], p_numbers text[], p_events uuid[], p_users uuid[],
    p_route text, p_keys text[], p_hashes bytea[], p_messages text[],
    p_item_orders int[], p_item_types uuid[], p_item_quantities int[],
    p_hold_seconds double precision, p_most int, p_cautious boolean, p_final boolean,
    OUT outcomes text[], OUT statuses int[], OUT answers text[])
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_count   int := cardinality(p_ids);
    v_expires timestamptz := date_trunc('milliseconds', clock_timestamp() + make_interval(secs => p_hold_seconds));
    v_until   text := wire_time(v_expires);
    v_amounts int[];
    v_totals  bigint[];
    v_granted uuid[];
    v_claimed boolean[];
    v_counted boolean[];
    v_types   uuid[];
    v_wanted  int[];
    v_prices  bigint[];
    v_free    int[];
    v_fits    boolean;
    v_at      int;
    v_row     record;
BEGIN
    statuses := array_fill(201, ARRAY[v_count]);
    answers := array_fill(NULL::text, ARRAY[v_count]);

    -- One look at types and events; prices are those of this moment.
    WITH types AS MATERIALIZED (
        SELECT t.id, t.event_id, t.price FROM ticket_types t WHERE t.id = ANY (p_item_types)),
    sales AS MATERIALIZED (
        SELECT e.id, is_on_sale(e) AS is_open FROM events e WHERE e.id = ANY (p_events)),
    sums AS (
        SELECT i.at, sum(i.quantity)::int AS amount, coalesce(sum(i.quantity * t.price), 0)::bigint AS total,
            bool_or(t.event_id IS DISTINCT FROM p_events[i.at]) AS is_foreign
        FROM unnest(p_item_orders, p_item_types, p_item_quantities) AS i(at, type_id, quantity)
        LEFT JOIN types t ON t.id = i.type_id GROUP BY i.at)
    SELECT array_agg(s.amount ORDER BY s.at), array_agg(s.total ORDER BY s.at),
        array_agg(CASE WHEN e.id IS NULL THEN 'event_not_found' WHEN s.is_foreign THEN 'ticket_type_not_found'
            WHEN NOT e.is_open THEN 'sale_closed' END ORDER BY s.at),
        (SELECT array_agg((SELECT t.price FROM types t WHERE t.id = i.type_id) ORDER BY i.n)
         FROM unnest(p_item_types) WITH ORDINALITY AS i(type_id, n))
    INTO v_amounts, v_totals, outcomes, v_prices
    FROM sums s LEFT JOIN sales e ON e.id = p_events[s.at];

    IF NOT p_cautious THEN
        SELECT coalesce(bool_or(w.quantity > t.total_quantity - t.held - t.sold), false) INTO p_cautious
        FROM (SELECT i.type_id, sum(i.quantity) AS quantity
              FROM unnest(p_item_types, p_item_quantities) AS i(type_id, quantity) GROUP BY i.type_id) w
        JOIN ticket_types t ON t.id = w.type_id;
    END IF;

    -- Who wants more than there is at this moment need not wait for a lock to hear it.
    IF p_cautious THEN
        FOR v_row IN
            SELECT i.at, bool_or(d.is_due) AS is_due
            FROM unnest(p_item_orders, p_item_types, p_item_quantities) AS i(at, type_id, quantity)
            JOIN ticket_types t ON t.id = i.type_id
            JOIN (SELECT u.id, NOT p_final AND is_held_by_overdue(u.id) AS is_due
                  FROM unnest(p_item_types) AS u(id) GROUP BY u.id) d ON d.id = i.type_id
            WHERE outcomes[i.at] IS NULL AND i.quantity > t.total_quantity - t.held - t.sold
            GROUP BY i.at
        LOOP
            outcomes[v_row.at] := CASE WHEN v_row.is_due THEN 'due' ELSE 'sold_out' END;
        END LOOP;
    END IF;

    -- Who asks again is answered as before, also when the sale is over or nothing is left. Looked at last: what took the
    -- rest may have been the same request.
    IF p_cautious OR array_remove(outcomes, NULL) <> '{}' THEN
        FOR v_row IN SELECT * FROM kept_answers(p_users, p_route, p_keys, p_hashes) LOOP
            outcomes[v_row.at] := CASE WHEN v_row.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            statuses[v_row.at] := v_row.status;
            answers[v_row.at] := v_row.answer;
        END LOOP;
    END IF;
    IF array_position(outcomes, NULL) IS NULL THEN
        RETURN;
    END IF;

    -- What each is told if all goes well, as text in the form that jsonb gives back: a repetition gets the same bytes, and
    -- text is put together several times faster than jsonb is built.
    SELECT array_agg(coalesce(o.kept, '{"message": ' || to_json(o.message) || ', "reservation": {"id": "' || o.id
        || '", "expiresAt": "' || v_until || '", "totalAmount": ' || o.total || ', "reservationNumber": "' || o.number
        || '"}}') ORDER BY o.at)
    INTO answers
    FROM unnest(p_ids, p_numbers, p_messages, v_totals, answers) WITH ORDINALITY
        AS o(id, number, message, total, kept, at);

    -- Keys; somebody else's that is not committed yet is waited for.
    WITH claimed AS (
        INSERT INTO idempotency_keys AS k (user_id, route, key, body_hash, status, answer)
        SELECT o.user_id, p_route, o.key, o.hash, 201, o.answer::jsonb
        FROM unnest(p_users, p_keys, p_hashes, answers, outcomes) AS o(user_id, key, hash, answer, outcome)
        WHERE o.outcome IS NULL ORDER BY o.user_id, o.key
        ON CONFLICT (user_id, route, key) DO UPDATE
            SET body_hash = excluded.body_hash, status = excluded.status, answer = excluded.answer, created_at = now()
            WHERE k.created_at <= now() - interval '24 hours'
        RETURNING k.user_id)
    SELECT array_agg(user_id) INTO v_granted FROM claimed;
    SELECT array_agg(o.outcome IS NULL AND coalesce(o.user_id = ANY (v_granted), false) ORDER BY o.at) INTO v_claimed
    FROM unnest(p_users, outcomes) WITH ORDINALITY AS o(user_id, outcome, at);
    IF cardinality(v_granted) IS DISTINCT FROM v_count - cardinality(array_remove(outcomes, NULL)) THEN
        FOR v_row IN SELECT * FROM kept_answers(p_users, p_route, p_keys, p_hashes) LOOP
            CONTINUE WHEN outcomes[v_row.at] IS NOT NULL OR v_claimed[v_row.at];
            outcomes[v_row.at] := CASE WHEN v_row.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            statuses[v_row.at] := v_row.status;
            answers[v_row.at] := v_row.answer;
        END LOOP;
        FOR v_at IN 1..v_count LOOP
            IF outcomes[v_at] IS NULL AND NOT v_claimed[v_at] THEN
                outcomes[v_at] := 'idempotency_in_progress';
            END IF;
        END LOOP;
    END IF;

    -- The limit of each person.
    WITH counted AS (
        INSERT INTO user_event AS u (user_id, event_id, quantity)
        SELECT o.user_id, o.event_id, o.amount
        FROM unnest(p_users, p_events, v_amounts, outcomes) AS o(user_id, event_id, amount, outcome)
        WHERE o.outcome IS NULL AND o.amount <= p_most ORDER BY o.user_id, o.event_id
        ON CONFLICT (user_id, event_id) DO UPDATE SET quantity = u.quantity + excluded.quantity
            WHERE u.quantity + excluded.quantity <= p_most
        RETURNING u.user_id)
    SELECT array_agg(user_id) INTO v_granted FROM counted;
    SELECT array_agg(o.outcome IS NULL AND coalesce(o.user_id = ANY (v_granted), false) ORDER BY o.at) INTO v_counted
    FROM unnest(p_users, outcomes) WITH ORDINALITY AS o(user_id, outcome, at);
    IF cardinality(v_granted) IS DISTINCT FROM v_count - cardinality(array_remove(outcomes, NULL)) THEN
        FOR v_at IN 1..v_count LOOP
            IF outcomes[v_at] IS NULL AND NOT v_counted[v_at] THEN
                outcomes[v_at] := CASE WHEN NOT p_final AND EXISTS (
                    SELECT FROM reservations r WHERE r.user_id = p_users[v_at] AND r.event_id = p_events[v_at]
                    AND r.status = 'pending' AND r.expires_at <= clock_timestamp()) THEN 'due' ELSE 'limit_reached' END;
            END IF;
        END LOOP;
    END IF;

    -- Near the end: in order, whoever still fits.
    IF p_cautious THEN
        SELECT array_agg(t.id), array_agg(t.free) INTO v_types, v_free FROM (
            SELECT id, total_quantity - held - sold AS free FROM ticket_types
            WHERE id IN (SELECT i.type_id FROM unnest(p_item_orders, p_item_types) AS i(at, type_id)
                         WHERE outcomes[i.at] IS NULL)
            ORDER BY id FOR NO KEY UPDATE) t;
        FOR v_at IN 1..v_count LOOP
            CONTINUE WHEN outcomes[v_at] IS NOT NULL;
            SELECT bool_and(i.quantity <= v_free[array_position(v_types, i.type_id)]) INTO v_fits
            FROM unnest(p_item_orders, p_item_types, p_item_quantities) AS i(at, type_id, quantity) WHERE i.at = v_at;
            IF v_fits THEN
                FOR v_row IN
                    SELECT array_position(v_types, i.type_id) AS place, i.quantity
                    FROM unnest(p_item_orders, p_item_types, p_item_quantities) AS i(at, type_id, quantity)
                    WHERE i.at = v_at
                LOOP
                    v_free[v_row.place] := v_free[v_row.place] - v_row.quantity;
                END LOOP;
            ELSE
                outcomes[v_at] := CASE WHEN NOT p_final AND EXISTS (
                    SELECT FROM unnest(p_item_orders, p_item_types) AS i(at, type_id)
                    WHERE i.at = v_at AND is_held_by_overdue(i.type_id)) THEN 'due' ELSE 'sold_out' END;
            END IF;
        END LOOP;
    END IF;

    -- What was claimed for those who get nothing is given back.
    IF array_remove(outcomes, NULL) <> '{}' THEN
        UPDATE user_event u SET quantity = u.quantity - o.amount
        FROM unnest(p_users, p_events, v_amounts, outcomes, v_counted)
            AS o(user_id, event_id, amount, outcome, is_counted)
        WHERE o.outcome IS NOT NULL AND o.is_counted AND u.user_id = o.user_id AND u.event_id = o.event_id;
        DELETE FROM idempotency_keys k
        USING unnest(p_users, p_keys, outcomes, v_claimed) AS o(user_id, key, outcome, is_claimed)
        WHERE o.outcome IS NOT NULL AND o.is_claimed
            AND k.user_id = o.user_id AND k.route = p_route AND k.key = o.key;
    END IF;
    IF array_position(outcomes, NULL) IS NULL THEN
        RETURN;
    END IF;

    INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at)
    SELECT o.id, o.number, o.event_id, o.user_id, o.total, v_expires
    FROM unnest(p_ids, p_numbers, p_events, p_users, v_totals, outcomes)
        AS o(id, number, event_id, user_id, total, outcome)
    WHERE o.outcome IS NULL;
    INSERT INTO reservation_items (reservation_id, ticket_type_id, quantity, unit_price)
    SELECT p_ids[i.at], i.type_id, i.quantity, i.price
    FROM unnest(p_item_orders, p_item_types, p_item_quantities, v_prices) AS i(at, type_id, quantity, price)
    WHERE outcomes[i.at] IS NULL;

    SELECT array_agg(w.type_id), array_agg(w.quantity) INTO v_types, v_wanted FROM (
        SELECT i.type_id, sum(i.quantity)::int AS quantity
        FROM unnest(p_item_orders, p_item_types, p_item_quantities) AS i(at, type_id, quantity)
        WHERE outcomes[i.at] IS NULL GROUP BY i.type_id) w;
    IF NOT move_stock(v_types, v_wanted, array_fill(0, ARRAY[cardinality(v_types)])) THEN
        RAISE EXCEPTION 'orders_run_short';
    END IF;
    outcomes := array_replace(outcomes, NULL, 'created');
END $$;
