-- Holding numbered seats for many people at once.

-- Neighbouring seats lie in one page, and in a rush many of them change hands in one transaction, whose old versions make
-- room only after it: with half of each page left free they stay in theirs, and no index is written (HOT). Holds for
-- halls that are made from now on.
ALTER TABLE seats SET (fillfactor = 50);

-- As of reservation_items: each of these keys looked up once more, and locked, a row that the same statement has just
-- written or locked, which took a sixth of the time of a hold. The functions are the only ones that write here; who takes
-- an event or its seats away locks the seats first and then looks for orders. That no seat belongs to a reservation that
-- is not there is still the database's to see to.
ALTER TABLE reservation_seats
    DROP CONSTRAINT reservation_seats_reservation_id_fkey, DROP CONSTRAINT reservation_seats_seat_id_fkey;

-- A regular expression takes some microseconds of each order; what stands behind TK is written by `order_number` and its
-- like alone.
ALTER TABLE reservations DROP CONSTRAINT reservations_reservation_number_check;
ALTER TABLE reservations ADD CONSTRAINT reservations_reservation_number_check
    CHECK (reservation_number LIKE 'TK____________') NOT VALID;

-- Tells of seats that changed hands, a hundred in a notice. Put together as text, which takes a third of the time.
CREATE OR REPLACE FUNCTION tell_seats(p_events uuid[], p_seats uuid[], p_status text, p_versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (id, topic, payload)
    SELECT gen_random_uuid(), 'notice', ('{"kind": "seats", "event_id": "' || event_id || '", "seats": ['
        || string_agg('{"seat_id": "' || seat_id || '", "status": "' || p_status || '", "version": ' || version || '}', ', ')
        || ']}')::jsonb
    FROM unnest(p_events, p_seats, p_versions) WITH ORDINALITY AS s(event_id, seat_id, version, at)
    GROUP BY event_id, (at - 1) / 100;
END $$;

-- Holds seats for many requests at once, each for itself: of each request all seats or none, some are held, some refused.
--
-- Of each person at most one request. Items are flat: the request each belongs to (from 1) and a seat; a request names a
-- seat once, and at least one. A request may have no key. A call whose end was not seen can be made again: whose
-- reservation is there already is told so.
--
-- Outcomes are those of `hold_seats` for seats that are named, in the order of the requests: what comes of them is what
-- would come of them one by one. `due`, unless `p_final`: the buyer's limit is reached by holds whose time has passed;
-- expire those and ask again, together with those behind that want the same seats.
CREATE FUNCTION hold_seats_batch(
    p_ids uuid[], p_numbers text[], p_events uuid[], p_users uuid[],
    p_route text, p_keys text[], p_hashes bytea[], p_messages text[],
    p_item_holds int[], p_item_seats uuid[],
    p_hold_seconds double precision, p_most int, p_final boolean,
    OUT outcomes text[], OUT statuses int[], OUT answers text[])
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_count    int := cardinality(p_ids);
    v_expires  timestamptz := date_trunc('milliseconds', clock_timestamp() + make_interval(secs => p_hold_seconds));
    v_amounts  int[];
    v_totals   bigint[];
    v_prices   bigint[];
    v_until    text;
    v_granted  uuid[];
    -- The outcomes as they were then: whoever had none has claimed a key, is counted.
    v_claimed  text[];
    v_counted  text[];
    v_free     uuid[];
    v_wished   uuid[];
    v_gone     uuid[] := '{}';
    v_awaited  uuid[] := '{}';
    v_events   uuid[];
    v_seats    uuid[];
    v_versions bigint[];
    v_at       int;
    v_row      record;
BEGIN
    statuses := array_fill(201, ARRAY[v_count]);

    -- One look at events and seats, and what each is told if all goes well.
    WITH sales AS MATERIALIZED (
        SELECT e.id, is_on_sale(e) AS is_open FROM events e WHERE e.id = ANY (p_events)),
    looked AS MATERIALIZED (
        SELECT i.at, i.n, s.id, s.price, s.section, s.row_number, s.seat_number, is_free(s) AS is_free,
            '{"id": "' || s.id || '", "price": ' || s.price || ', "status": "locked", "section": ' || to_json(s.section)
            || ', "row_number": ' || s.row_number || ', "seat_label": ' || to_json(s.seat_label)
            || ', "seat_number": ' || s.seat_number || '}' AS shown
        FROM unnest(p_item_holds, p_item_seats) WITH ORDINALITY AS i(at, seat_id, n)
        LEFT JOIN seats s ON s.id = i.seat_id AND s.event_id = p_events[i.at]),
    sums AS (
        SELECT l.at, count(*)::int AS amount, count(l.id)::int AS known, coalesce(sum(l.price), 0)::bigint AS total,
            bool_and(l.is_free) AS are_free,
            string_agg(l.shown, ', ' ORDER BY l.section, l.row_number, l.seat_number) AS shown
        FROM looked l GROUP BY l.at)
    SELECT array_agg(s.amount ORDER BY s.at), array_agg(s.total ORDER BY s.at),
        array_agg(CASE WHEN e.id IS NULL THEN 'event_not_found' WHEN NOT e.is_open THEN 'sale_closed'
            WHEN s.known < s.amount THEN 'seat_not_found' WHEN NOT s.are_free THEN 'seat_taken' END ORDER BY s.at),
        array_agg('{"message": ' || to_json(p_messages[s.at]) || ', "reservation": {"id": "' || p_ids[s.at]
            || '", "seats": [' || s.shown || '], "expiresAt": "' || u.until || '", "totalAmount": ' || s.total
            || ', "reservationNumber": "' || p_numbers[s.at] || '"}}' ORDER BY s.at),
        (SELECT array_agg(l.price ORDER BY l.n) FROM looked l)
    INTO v_amounts, v_totals, outcomes, answers, v_prices
    FROM (SELECT wire_time(v_expires) AS until) u, sums s LEFT JOIN sales e ON e.id = p_events[s.at];

    -- Who asks again is answered as before, also when the sale is over or the seats are gone. Looked at last: who took
    -- them may have been the same request.
    IF array_remove(outcomes, NULL) <> '{}' THEN
        FOR v_row IN SELECT * FROM kept_answers(p_users, p_route, p_keys, p_hashes) LOOP
            outcomes[v_row.at] := CASE WHEN v_row.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            statuses[v_row.at] := v_row.status;
            answers[v_row.at] := v_row.answer;
        END LOOP;
        FOR v_at IN 1..v_count LOOP
            CONTINUE WHEN p_keys[v_at] IS NOT NULL OR outcomes[v_at] IS DISTINCT FROM 'seat_taken';
            SELECT wire_time(r.expires_at) INTO v_until FROM reservations r WHERE r.id = p_ids[v_at];
            IF FOUND THEN
                outcomes[v_at] := 'kept';
                answers[v_at] := replace(answers[v_at], wire_time(v_expires), v_until);
            END IF;
        END LOOP;
        IF array_position(outcomes, NULL) IS NULL THEN
            RETURN;
        END IF;
    END IF;

    -- Keys; somebody else's that is not committed yet is waited for.
    WITH claimed AS (
        INSERT INTO idempotency_keys AS k (user_id, route, key, body_hash, status, answer)
        SELECT o.user_id, p_route, o.key, o.hash, 201, o.answer::jsonb
        FROM unnest(p_users, p_keys, p_hashes, answers, outcomes) AS o(user_id, key, hash, answer, outcome)
        WHERE o.outcome IS NULL AND o.key IS NOT NULL ORDER BY o.user_id, o.key
        ON CONFLICT (user_id, route, key) DO UPDATE
            SET body_hash = excluded.body_hash, status = excluded.status, answer = excluded.answer, created_at = now()
            WHERE k.created_at <= now() - interval '24 hours'
        RETURNING k.user_id)
    SELECT coalesce(array_agg(user_id), '{}') INTO v_granted FROM claimed;
    IF cardinality(v_granted) <> (SELECT count(*) FROM unnest(outcomes, p_keys) AS o(outcome, key)
                                  WHERE o.outcome IS NULL AND o.key IS NOT NULL) THEN
        FOR v_row IN SELECT * FROM kept_answers(p_users, p_route, p_keys, p_hashes) LOOP
            CONTINUE WHEN outcomes[v_row.at] IS NOT NULL OR p_users[v_row.at] = ANY (v_granted);
            outcomes[v_row.at] := CASE WHEN v_row.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            statuses[v_row.at] := v_row.status;
            answers[v_row.at] := v_row.answer;
        END LOOP;
        FOR v_at IN 1..v_count LOOP
            IF outcomes[v_at] IS NULL AND p_keys[v_at] IS NOT NULL AND p_users[v_at] <> ALL (v_granted) THEN
                outcomes[v_at] := 'idempotency_in_progress';
            END IF;
        END LOOP;
    END IF;
    v_claimed := outcomes;

    -- The limit of each person.
    WITH counted AS (
        INSERT INTO user_event AS u (user_id, event_id, quantity)
        SELECT o.user_id, o.event_id, o.amount
        FROM unnest(p_users, p_events, v_amounts, outcomes) AS o(user_id, event_id, amount, outcome)
        WHERE o.outcome IS NULL AND o.amount <= p_most ORDER BY o.user_id, o.event_id
        ON CONFLICT (user_id, event_id) DO UPDATE SET quantity = u.quantity + excluded.quantity
            WHERE u.quantity + excluded.quantity <= p_most
        RETURNING u.user_id)
    SELECT coalesce(array_agg(user_id), '{}') INTO v_granted FROM counted;
    IF cardinality(v_granted) <> v_count - cardinality(array_remove(outcomes, NULL)) THEN
        FOR v_at IN 1..v_count LOOP
            IF outcomes[v_at] IS NULL AND p_users[v_at] <> ALL (v_granted) THEN
                outcomes[v_at] := CASE WHEN NOT p_final AND EXISTS (
                    SELECT FROM reservations r WHERE r.user_id = p_users[v_at] AND r.event_id = p_events[v_at]
                    AND r.status = 'pending' AND r.expires_at <= clock_timestamp()) THEN 'due' ELSE 'limit_reached' END;
            END IF;
        END LOOP;
    END IF;
    v_counted := outcomes;

    -- All seats of all requests in one order; those that somebody has taken since are not among them.
    SELECT array_agg(l.id) INTO v_free FROM (
        SELECT s.id FROM seats s
        WHERE s.id IN (SELECT i.seat_id FROM unnest(p_item_holds, p_item_seats) AS i(at, seat_id)
                       WHERE outcomes[i.at] IS NULL) AND is_free(s)
        ORDER BY s.id FOR NO KEY UPDATE) l;
    -- Somebody is refused, or two want the same: in order, whoever still gets all of theirs. Who is over the limit only
    -- because of holds that are over has the place kept, and whoever wants the same seats asks again as well.
    IF v_counted IS DISTINCT FROM v_claimed OR cardinality(v_free) IS DISTINCT FROM cardinality(p_item_seats) THEN
        FOR v_at IN 1..v_count LOOP
            CONTINUE WHEN v_claimed[v_at] IS NOT NULL;
            SELECT array_agg(i.seat_id) INTO v_wished
            FROM unnest(p_item_holds, p_item_seats) AS i(at, seat_id) WHERE i.at = v_at;
            IF v_wished && v_gone THEN
                outcomes[v_at] := 'seat_taken';
            ELSIF v_wished && v_awaited OR outcomes[v_at] = 'due' THEN
                outcomes[v_at] := 'due';
                v_awaited := v_awaited || v_wished;
            ELSIF outcomes[v_at] IS NULL AND (v_wished <@ v_free) IS NOT TRUE THEN
                outcomes[v_at] := 'seat_taken';
            ELSIF outcomes[v_at] IS NULL THEN
                v_gone := v_gone || v_wished;
            END IF;
        END LOOP;
        -- What was claimed for those who get nothing is given back.
        UPDATE user_event u SET quantity = u.quantity - o.amount
        FROM unnest(p_users, p_events, v_amounts, outcomes, v_counted)
            AS o(user_id, event_id, amount, outcome, counted)
        WHERE o.outcome IS NOT NULL AND o.counted IS NULL AND u.user_id = o.user_id AND u.event_id = o.event_id;
        DELETE FROM idempotency_keys k
        USING unnest(p_users, p_keys, outcomes, v_claimed) AS o(user_id, key, outcome, claimed)
        WHERE o.outcome IS NOT NULL AND o.claimed IS NULL
            AND k.user_id = o.user_id AND k.route = p_route AND k.key = o.key;
        IF array_position(outcomes, NULL) IS NULL THEN
            RETURN;
        END IF;
    END IF;

    INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at)
    SELECT o.id, o.number, o.event_id, o.user_id, o.total, v_expires
    FROM unnest(p_ids, p_numbers, p_events, p_users, v_totals, outcomes)
        AS o(id, number, event_id, user_id, total, outcome)
    WHERE o.outcome IS NULL;
    INSERT INTO reservation_seats (reservation_id, seat_id, price)
    SELECT p_ids[i.at], i.seat_id, i.price FROM unnest(p_item_holds, p_item_seats, v_prices) AS i(at, seat_id, price)
    WHERE outcomes[i.at] IS NULL;
    WITH held AS (
        UPDATE seats s
        SET status = 'locked', reservation_id = p_ids[i.at], held_until = v_expires, version = s.version + 1
        FROM unnest(p_item_holds, p_item_seats) AS i(at, seat_id)
        WHERE outcomes[i.at] IS NULL AND s.id = i.seat_id RETURNING s.id, s.event_id, s.version)
    SELECT array_agg(h.event_id), array_agg(h.id), array_agg(h.version) INTO v_events, v_seats, v_versions FROM held h;
    PERFORM tell_seats(v_events, v_seats, 'locked', v_versions);
    outcomes := array_replace(outcomes, NULL, 'created');
END $$;
