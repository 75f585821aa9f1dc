-- The functions of a hot sale, with less to do for each order. What they promise is unchanged.

-- A function in SQL that calls clock_timestamp() is only put into the query around it when it is called volatile, as it is;
-- called stable, it is parsed and run anew for each row.
ALTER FUNCTION is_free(seats) VOLATILE;
ALTER FUNCTION is_on_sale(events) VOLATILE;

-- In plpgsql, whose statements keep their plans; one that changes something is never put into another query.
-- Tells of seats that changed hands, a hundred in a notice.
CREATE OR REPLACE FUNCTION tell_seats(p_events uuid[], p_seats uuid[], p_status text, p_versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (id, topic, payload)
    SELECT gen_random_uuid(), 'notice', jsonb_build_object('kind', 'seats', 'event_id', event_id, 'seats',
        jsonb_agg(jsonb_build_object('seat_id', seat_id, 'status', p_status, 'version', version)))
    FROM unnest(p_events, p_seats, p_versions) WITH ORDINALITY AS s(event_id, seat_id, version, at)
    GROUP BY event_id, (at - 1) / 100;
END $$;

-- The lists of seats have a handful of ids, never so many that another plan would be better; and planning takes longer
-- than the rest.
ALTER FUNCTION hold_seats SET plan_cache_mode = force_generic_plan;

-- Keys come in the order of their time, and are deleted by it once a day: no need to sort each into a tree.
DROP INDEX idempotency_keys_created_at;
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- Rows from the stage backwards; what changes of a seat is in no index, so that this one is not written in a sale.
CREATE INDEX seats_row ON seats (event_id, row_number);

-- Seats side by side in one row of the hall, the best first: none left alone beside them, near the middle.
DROP FUNCTION adjacent_seats(uuid, int, text, bigint);
CREATE FUNCTION adjacent_seats(p_event uuid, p_quantity int, p_section text, p_max_price bigint, p_row int)
RETURNS TABLE (ids uuid[]) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH places AS (
        SELECT s.id, s.section, s.seat_number, s.price, is_free(s) AS is_free,
            max(s.seat_number) OVER (PARTITION BY s.section) AS last_seat
        FROM seats s
        WHERE s.event_id = p_event AND s.row_number = p_row AND (p_section IS NULL OR s.section = p_section)),
    runs AS (
        SELECT p.*, p.seat_number - row_number() OVER (PARTITION BY section ORDER BY seat_number) AS run
        FROM places p WHERE p.is_free AND (p_max_price IS NULL OR p.price <= p_max_price)),
    windows AS (
        SELECT r.section, r.seat_number, r.last_seat,
            array_agg(r.id) OVER (PARTITION BY section, run ORDER BY seat_number
                ROWS BETWEEN CURRENT ROW AND p_quantity - 1 FOLLOWING) AS ids,
            r.seat_number - min(r.seat_number) OVER (PARTITION BY section, run) AS before,
            max(r.seat_number) OVER (PARTITION BY section, run) - r.seat_number - p_quantity + 1 AS behind
        FROM runs r)
    SELECT w.ids FROM windows w WHERE cardinality(w.ids) = p_quantity
    ORDER BY (w.before = 1)::int + (w.behind = 1)::int,
        abs(2 * w.seat_number + p_quantity - 2 - w.last_seat), w.section, w.seat_number;
END $$;

-- Locks the best seats side by side that nobody else has locked, without waiting: who is late gets other seats and no
-- refusal. Row by row from the stage: sorting out a whole hall for each request takes tens of milliseconds. Returns none
-- when there are none, or when somebody is at all of them (`o_is_busy`).
CREATE OR REPLACE FUNCTION lock_adjacent_seats(p_event uuid, p_quantity int, p_section text, p_max_price bigint,
    OUT o_seats uuid[], OUT o_is_busy boolean)
LANGUAGE plpgsql AS $$
DECLARE
    v_row    int := 0;
    v_wanted uuid[];
    v_busy   uuid[] := '{}';
BEGIN
    LOOP
        SELECT s.row_number INTO v_row FROM seats s
        WHERE s.event_id = p_event AND s.row_number > v_row AND (p_section IS NULL OR s.section = p_section)
            AND (p_max_price IS NULL OR s.price <= p_max_price) AND is_free(s)
        ORDER BY s.row_number LIMIT 1;
        EXIT WHEN NOT FOUND;
        FOR v_wanted IN SELECT ids FROM adjacent_seats(p_event, p_quantity, p_section, p_max_price, v_row) LOOP
            CONTINUE WHEN v_wanted && v_busy;
            SELECT array_agg(l.id) INTO o_seats FROM (
                SELECT s.id FROM seats s WHERE s.id = ANY (v_wanted) AND is_free(s)
                ORDER BY s.id FOR UPDATE SKIP LOCKED) l;
            IF cardinality(o_seats) = p_quantity THEN
                o_is_busy := false;
                RETURN;
            END IF;
            v_busy := v_busy || ARRAY(SELECT unnest(v_wanted) EXCEPT SELECT unnest(o_seats));
        END LOOP;
    END LOOP;
    o_seats := NULL;
    o_is_busy := v_busy <> '{}';
END $$;

-- Makes pending orders out of many requests at once, each for itself: some are made, some refused.
--
-- Of each person at most one request. Items are flat: the request each belongs to (from 1), its type, how many; a
-- request names a type once. A request without a key of its own brings the reservation's id as one, so that a call whose
-- end was not seen can be made again.
--
-- Outcomes: `created`, `kept` (the answer to the same request before), `idempotency_key_reused`, `event_not_found`,
-- `ticket_type_not_found`, `sale_closed`, `limit_reached`, `sold_out`, and unless `p_final` `due`: what is missing is
-- held by orders whose time has passed; expire those and ask again. Refusals are not kept, so a key can be used again
-- as soon as there is something to have.
--
-- Mostly there is enough for everybody, and the row that everybody waits for is locked last. When it looks as if there
-- were not, or with `p_cautious`, stock is locked first and given out request by request, in order. If others were
-- faster in between, this fails with `orders_run_short`: call again with `p_cautious`.
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

-- How many were inside when the order was last known to be whole, and the last number that was given by then: of a copy
-- of the order that Redis brings back, whether it is an old one can be told by that.
ALTER TABLE waiting_rooms
    ADD COLUMN inside bigint NOT NULL DEFAULT 0 CHECK (inside >= 0),
    ADD COLUMN seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0);

-- Makes reservations of free tickets for those who wait for them, in order, whoever fits; returns how many. Who is at
-- something of their own in this moment is passed over and keeps the place: rows of user_event are locked before those of
-- types everywhere else, so that they cannot be waited for here. Who has all they may have keeps the place too and is not
-- among the hundred that are looked at: however many of them stand in front, those behind them have their turn.
CREATE OR REPLACE FUNCTION offer_stock(p_types uuid[]) RETURNS int LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_type    record;
    v_waiter  waiting_list;
    v_free    int;
    v_id      uuid;
    v_until   timestamptz;
    v_offered int := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM waiting_list WHERE ticket_type_id = ANY (p_types)) THEN
        RETURN 0;
    END IF;
    FOR v_type IN
        SELECT t.id, t.event_id, t.price, t.total_quantity - t.held - t.sold AS free FROM ticket_types t
        WHERE t.id = ANY (p_types) ORDER BY t.id FOR NO KEY UPDATE
    LOOP
        CONTINUE WHEN NOT (SELECT is_on_sale(e) FROM events e WHERE e.id = v_type.event_id);
        v_free := v_type.free;
        FOR v_waiter IN
            SELECT w.* FROM waiting_list w JOIN user_event u ON u.user_id = w.user_id AND u.event_id = w.event_id
            WHERE w.ticket_type_id = v_type.id AND w.quantity <= v_type.free
                AND u.quantity + w.quantity <= w.most_per_event
            ORDER BY w.place LIMIT 100 FOR UPDATE OF w SKIP LOCKED
        LOOP
            EXIT WHEN v_free <= 0;
            CONTINUE WHEN v_waiter.quantity > v_free;
            -- Once more under the lock: they may have ordered something meanwhile.
            PERFORM 1 FROM user_event WHERE user_id = v_waiter.user_id AND event_id = v_waiter.event_id
                AND quantity + v_waiter.quantity <= v_waiter.most_per_event FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            UPDATE user_event SET quantity = quantity + v_waiter.quantity
            WHERE user_id = v_waiter.user_id AND event_id = v_waiter.event_id;
            v_id := new_id();
            v_until := date_trunc('milliseconds', clock_timestamp() + make_interval(secs => v_waiter.hold_seconds));
            INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at)
            VALUES (v_id, order_number(v_id), v_type.event_id, v_waiter.user_id, v_type.price * v_waiter.quantity, v_until);
            INSERT INTO reservation_items (reservation_id, ticket_type_id, quantity, unit_price)
            VALUES (v_id, v_type.id, v_waiter.quantity, v_type.price);
            PERFORM move_stock(ARRAY[v_type.id], ARRAY[v_waiter.quantity], ARRAY[0]);
            DELETE FROM waiting_list WHERE place = v_waiter.place;
            INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'notice', jsonb_build_object(
                'kind', 'offered', 'event_id', v_type.event_id, 'ticket_type_id', v_type.id,
                'user_id', v_waiter.user_id, 'reservation_id', v_id, 'quantity', v_waiter.quantity,
                'expires_at', wire_time(v_until)));
            v_free := v_free - v_waiter.quantity;
            v_offered := v_offered + 1;
        END LOOP;
    END LOOP;
    RETURN v_offered;
END $$;
