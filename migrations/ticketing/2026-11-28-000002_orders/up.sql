-- Orders by ticket type, limits for each person, and every change of hands as one function.
--
-- Locks are taken in one order everywhere: idempotency_keys (user_id, key), user_event (user_id, event_id),
-- reservations (id), seats (id), ticket_types (id); within each by what stands in brackets. A seat or type that would
-- have to be taken out of order is taken without waiting, or not at all.

-- Grows with every change of the stock, so that a listener can tell an old notice from a new one.
ALTER TABLE ticket_types ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- What an order consists of, at the price of that day; stays when the order is over. No foreign keys: one to the ticket
-- type would lock the row that everybody wants once more for each order, and one to the order would look each up again
-- that the same statement has just written. The functions below are the only ones that write here.
CREATE TABLE reservation_items (
    reservation_id uuid NOT NULL,
    ticket_type_id uuid NOT NULL,
    quantity       int NOT NULL CHECK (quantity > 0),
    -- KRW
    unit_price     bigint NOT NULL CHECK (unit_price >= 0),
    subtotal       bigint NOT NULL GENERATED ALWAYS AS (quantity * unit_price) STORED,
    PRIMARY KEY (reservation_id, ticket_type_id)
);

-- How many tickets and seats of an event a person has, held and paid for. Decides races about the limit.
CREATE TABLE user_event (
    user_id  uuid NOT NULL,
    event_id uuid NOT NULL,
    quantity int NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (user_id, event_id)
) WITH (fillfactor = 90);

INSERT INTO user_event (user_id, event_id, quantity)
SELECT r.user_id, r.event_id, count(*) FROM reservations r JOIN reservation_seats k ON k.reservation_id = r.id
WHERE r.status IN ('pending', 'confirmed') GROUP BY r.user_id, r.event_id;

-- Who waits for tickets that come back, in the order they came. The limits are those of the moment they came, because
-- whoever gives tickets back makes the next one's reservation and knows none.
CREATE TABLE waiting_list (
    place          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid NOT NULL,
    ticket_type_id uuid NOT NULL,
    user_id        uuid NOT NULL,
    quantity       int NOT NULL CHECK (quantity > 0),
    hold_seconds   double precision NOT NULL CHECK (hold_seconds > 0),
    most_per_event int NOT NULL CHECK (most_per_event > 0),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (user_id, ticket_type_id)
);

CREATE INDEX waiting_list_ticket_type ON waiting_list (ticket_type_id, place);

-- Moves the stock of ticket types, each named once, and tells of it. Call last: these are the rows that everybody waits for.
-- Returns whether there was enough of all of them; if not, what was moved must be rolled back.
CREATE FUNCTION move_stock(p_types uuid[], p_held int[], p_sold int[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_moved int;
BEGIN
    IF cardinality(p_types) > 1 THEN
        -- An UPDATE with FROM does not promise in which order it locks.
        PERFORM 1 FROM ticket_types WHERE id = ANY (p_types) ORDER BY id FOR NO KEY UPDATE;
    END IF;
    WITH moved AS (
        UPDATE ticket_types t SET held = t.held + w.held, sold = t.sold + w.sold, version = t.version + 1
        FROM unnest(p_types, p_held, p_sold) AS w(id, held, sold)
        WHERE t.id = w.id AND (w.held + w.sold <= 0 OR t.held + t.sold + w.held + w.sold <= t.total_quantity)
        RETURNING t.id, t.event_id, t.total_quantity, t.held, t.sold, t.version),
    told AS (
        INSERT INTO outbox (id, topic, payload)
        SELECT gen_random_uuid(), 'notice', jsonb_build_object(
            'kind', 'tickets', 'event_id', event_id, 'ticket_type_id', id,
            'available_quantity', total_quantity - held - sold, 'total_quantity', total_quantity, 'version', version)
        FROM moved)
    SELECT count(*) INTO v_moved FROM moved;
    RETURN v_moved = cardinality(p_types);
END $$;

-- Tells of seats that changed hands, a hundred in a notice.
CREATE FUNCTION tell_seats(p_events uuid[], p_seats uuid[], p_status text, p_versions bigint[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (id, topic, payload)
    SELECT gen_random_uuid(), 'notice', jsonb_build_object('kind', 'seats', 'event_id', event_id, 'seats',
        jsonb_agg(jsonb_build_object('seat_id', seat_id, 'status', p_status, 'version', version)))
    FROM unnest(p_events, p_seats, p_versions) WITH ORDINALITY AS s(event_id, seat_id, version, at)
    GROUP BY event_id, (at - 1) / 100
$$;

-- When something can be bought: the rule of `domain::seat_hold::SaleWindow`.
CREATE FUNCTION is_on_sale(e events) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT e.cancelled_at IS NULL AND clock_timestamp() >= e.sale_start_date
        AND clock_timestamp() < least(e.sale_end_date, e.event_date)
$$;

CREATE FUNCTION wire_time(p_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Answers that were given under these keys within their day, and whether to the same body.
CREATE FUNCTION kept_answers(p_users uuid[], p_route text, p_keys text[], p_hashes bytea[])
RETURNS TABLE (at int, is_same boolean, status int, answer text) LANGUAGE sql STABLE AS $$
    SELECT o.at::int, k.body_hash = o.hash, k.status::int, k.answer::text
    FROM unnest(p_users, p_keys, p_hashes) WITH ORDINALITY AS o(user_id, key, hash, at)
    JOIN idempotency_keys k ON k.user_id = o.user_id AND k.route = p_route AND k.key = o.key
    WHERE k.created_at > now() - interval '24 hours'
$$;

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
CREATE FUNCTION reserve_batch(
    p_ids uuid[], p_numbers text[], p_events uuid[], p_users uuid[],
    p_route text, p_keys text[], p_hashes bytea[], p_messages text[],
    p_item_orders int[], p_item_types uuid[], p_item_quantities int[],
    p_hold_seconds double precision, p_most int, p_cautious boolean, p_final boolean,
    OUT outcomes text[], OUT statuses int[], OUT answers text[])
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_count   int := cardinality(p_ids);
    v_expires timestamptz := date_trunc('milliseconds', clock_timestamp() + make_interval(secs => p_hold_seconds));
    v_amounts int[];
    v_totals  bigint[];
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

    -- Who asks again is answered before anything else, also when the sale is over or nothing is left.
    IF p_cautious OR array_remove(outcomes, NULL) <> '{}' THEN
        FOR v_row IN SELECT * FROM kept_answers(p_users, p_route, p_keys, p_hashes) LOOP
            outcomes[v_row.at] := CASE WHEN v_row.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            statuses[v_row.at] := v_row.status;
            answers[v_row.at] := v_row.answer;
        END LOOP;
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
    IF array_position(outcomes, NULL) IS NULL THEN
        RETURN;
    END IF;

    -- Keys; somebody else's that is not committed yet is waited for.
    WITH claimed AS (
        INSERT INTO idempotency_keys AS k (user_id, route, key, body_hash, status, answer)
        SELECT o.user_id, p_route, o.key, o.hash, 201, jsonb_build_object('message', o.message, 'reservation',
            jsonb_build_object('id', o.id, 'reservationNumber', o.number, 'totalAmount', o.total,
                'expiresAt', wire_time(v_expires)))
        FROM unnest(p_ids, p_numbers, p_users, p_keys, p_hashes, p_messages, v_totals, outcomes)
            AS o(id, number, user_id, key, hash, message, total, outcome)
        WHERE o.outcome IS NULL ORDER BY o.user_id, o.key
        ON CONFLICT (user_id, route, key) DO UPDATE
            SET body_hash = excluded.body_hash, status = excluded.status, answer = excluded.answer, created_at = now()
            WHERE k.created_at <= now() - interval '24 hours'
        RETURNING k.user_id, k.answer::text AS answer)
    SELECT array_agg(c.user_id IS NOT NULL ORDER BY o.at), array_agg(coalesce(c.answer, o.answer) ORDER BY o.at)
    INTO v_claimed, answers
    FROM unnest(p_users, answers) WITH ORDINALITY AS o(user_id, answer, at)
    LEFT JOIN claimed c ON c.user_id = o.user_id;
    IF EXISTS (SELECT FROM unnest(outcomes, v_claimed) AS o(outcome, is_claimed)
               WHERE o.outcome IS NULL AND NOT o.is_claimed) THEN
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
    SELECT array_agg(c.user_id IS NOT NULL ORDER BY o.at) INTO v_counted
    FROM unnest(p_users) WITH ORDINALITY AS o(user_id, at) LEFT JOIN counted c ON c.user_id = o.user_id;
    IF EXISTS (SELECT FROM unnest(outcomes, v_counted) AS o(outcome, is_counted)
               WHERE o.outcome IS NULL AND NOT o.is_counted) THEN
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

-- Whether some of a ticket type is held by orders whose time has passed.
CREATE FUNCTION is_held_by_overdue(p_type uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM reservations r JOIN reservation_items k ON k.reservation_id = r.id
        WHERE r.status = 'pending' AND r.expires_at <= clock_timestamp() AND k.ticket_type_id = p_type)
$$;

-- Ends orders whose rows, and whose buyers' rows in user_event, the caller has locked: all of them pending, or all
-- confirmed. Without a status pending ones are cancelled, or expired when their time has passed. Seats and stock come
-- back, and everybody hears of it.
CREATE FUNCTION let_go(p_ids uuid[], p_status text, p_payment_status text, p_were_sold boolean,
    OUT seats bigint, OUT tickets bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_types    uuid[];
    v_back     int[];
    v_nothing  int[];
    v_events   uuid[];
    v_seats    uuid[];
    v_versions bigint[];
BEGIN
    UPDATE reservations SET payment_status = coalesce(p_payment_status, payment_status), updated_at = clock_timestamp(),
        status = coalesce(p_status, CASE WHEN expires_at <= clock_timestamp() THEN 'expired' ELSE 'cancelled' END)
    WHERE id = ANY (p_ids);
    UPDATE user_event u SET quantity = u.quantity - c.quantity
    FROM (SELECT r.user_id, r.event_id, sum(k.quantity) AS quantity FROM reservations r JOIN (
              SELECT reservation_id, sum(quantity) AS quantity FROM reservation_items
              WHERE reservation_id = ANY (p_ids) GROUP BY reservation_id
              UNION ALL
              SELECT reservation_id, count(*) FROM reservation_seats
              WHERE reservation_id = ANY (p_ids) GROUP BY reservation_id) k ON k.reservation_id = r.id
          WHERE r.id = ANY (p_ids) GROUP BY r.user_id, r.event_id) c
    WHERE u.user_id = c.user_id AND u.event_id = c.event_id;

    -- A seat that somebody else has taken meanwhile is left alone.
    WITH theirs AS MATERIALIZED (
        SELECT s.id FROM reservation_seats k JOIN seats s ON s.id = k.seat_id AND s.reservation_id = k.reservation_id
        WHERE k.reservation_id = ANY (p_ids) ORDER BY s.id FOR UPDATE OF s),
    released AS (
        UPDATE seats s SET status = 'available', reservation_id = NULL, held_until = NULL, version = s.version + 1
        FROM theirs WHERE s.id = theirs.id RETURNING s.id, s.event_id, s.version)
    SELECT array_agg(event_id), array_agg(id), array_agg(version) INTO v_events, v_seats, v_versions FROM released;
    seats := coalesce(cardinality(v_seats), 0);
    PERFORM tell_seats(v_events, v_seats, 'available', v_versions) WHERE seats > 0;

    SELECT array_agg(k.ticket_type_id), array_agg(-k.quantity), array_agg(0), coalesce(sum(k.quantity), 0)
    INTO v_types, v_back, v_nothing, tickets FROM (
        SELECT ticket_type_id, sum(quantity)::int AS quantity FROM reservation_items
        WHERE reservation_id = ANY (p_ids) GROUP BY ticket_type_id) k;
    IF v_types IS NOT NULL THEN
        IF p_were_sold THEN
            PERFORM move_stock(v_types, v_nothing, v_back);
        ELSE
            PERFORM move_stock(v_types, v_back, v_nothing);
        END IF;
        -- Before anybody else can see it: whoever waits comes first.
        PERFORM offer_stock(v_types);
    END IF;
END $$;

-- Makes a UUID v7 of the database's clock.
CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

-- The number of an order: the rule of `domain::seat_hold::reservation_number`.
CREATE FUNCTION order_number(p_id uuid) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_rest   bigint := ('x' || right(replace(p_id::text, '-', ''), 16))::bit(64)::bigint & 4611686018427387903;
    v_number text := '';
BEGIN
    FOR v_digit IN 1..12 LOOP
        v_number := substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', (v_rest % 36)::int + 1, 1) || v_number;
        v_rest := v_rest / 36;
    END LOOP;
    RETURN 'TK' || v_number;
END $$;

-- Makes reservations of free tickets for those who wait for them, in order, whoever fits; returns how many. Who is at
-- something of their own in this moment, or has all they may have, is passed over and keeps the place: rows of
-- user_event are locked before those of types everywhere else, so that they cannot be waited for here.
CREATE FUNCTION offer_stock(p_types uuid[]) RETURNS int LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
            SELECT * FROM waiting_list WHERE ticket_type_id = v_type.id AND quantity <= v_type.free
            ORDER BY place LIMIT 100 FOR UPDATE SKIP LOCKED
        LOOP
            EXIT WHEN v_free <= 0;
            CONTINUE WHEN v_waiter.quantity > v_free;
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

-- Offers what is free and waited for: stock that was added, and what came back while its next owner was busy.
CREATE FUNCTION offer_waiting() RETURNS int LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(offer_stock(array_agg(t.id)), 0) FROM ticket_types t
    WHERE t.id IN (SELECT ticket_type_id FROM waiting_list) AND t.held + t.sold < t.total_quantity
    HAVING count(*) > 0
$$;

-- Puts somebody at the end of the line for a ticket type of which there is not enough, or leaves them where they are.
-- Outcomes: `waiting`, `event_not_found`, `ticket_type_not_found`, `sale_closed`, `limit_reached`, `still_available`.
CREATE FUNCTION join_waiting_list(
    p_event uuid, p_type uuid, p_user uuid, p_quantity int, p_hold_seconds double precision, p_most int)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_open boolean;
    v_free int;
BEGIN
    SELECT is_on_sale(e) INTO v_open FROM events e WHERE e.id = p_event;
    IF NOT FOUND THEN
        RETURN 'event_not_found';
    END IF;
    SELECT total_quantity - held - sold INTO v_free FROM ticket_types WHERE id = p_type AND event_id = p_event;
    IF NOT FOUND THEN
        RETURN 'ticket_type_not_found';
    ELSIF NOT v_open THEN
        RETURN 'sale_closed';
    ELSIF v_free >= p_quantity OR is_held_by_overdue(p_type) THEN
        RETURN 'still_available';
    END IF;
    -- Its row must be there when tickets come back.
    INSERT INTO user_event AS u (user_id, event_id, quantity) VALUES (p_user, p_event, 0)
    ON CONFLICT (user_id, event_id) DO UPDATE SET quantity = u.quantity WHERE u.quantity + p_quantity <= p_most;
    IF NOT FOUND OR p_quantity > p_most THEN
        RETURN 'limit_reached';
    END IF;
    INSERT INTO waiting_list (event_id, ticket_type_id, user_id, quantity, hold_seconds, most_per_event)
    VALUES (p_event, p_type, p_user, p_quantity, p_hold_seconds, p_most) ON CONFLICT DO NOTHING;
    RETURN 'waiting';
END $$;

-- Expires orders whose time has passed, at most that many; of some ticket types and some people only, where they are
-- named. Replicas share the work: what another is at is skipped, or with `p_wait` waited for.
CREATE FUNCTION expire_holds(p_most int, p_types uuid[], p_users uuid[], p_wait boolean,
    OUT expired bigint, OUT seats bigint, OUT tickets bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_ids    uuid[];
    v_users  uuid[];
    v_events uuid[];
BEGIN
    SELECT array_agg(d.id), array_agg(d.user_id), array_agg(d.event_id), 0, 0, 0
    INTO v_ids, v_users, v_events, expired, seats, tickets FROM (
        SELECT r.id, r.user_id, r.event_id FROM reservations r
        WHERE r.status = 'pending' AND r.expires_at <= clock_timestamp() AND (
            p_types IS NULL OR r.user_id = ANY (p_users) OR EXISTS (
                SELECT FROM reservation_items k WHERE k.reservation_id = r.id AND k.ticket_type_id = ANY (p_types)))
        ORDER BY r.expires_at LIMIT p_most) d;
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    IF p_wait THEN
        PERFORM 1 FROM user_event WHERE (user_id, event_id) IN (SELECT * FROM unnest(v_users, v_events))
        ORDER BY user_id, event_id FOR UPDATE;
        SELECT array_agg(l.id) INTO v_ids FROM (
            SELECT r.id FROM reservations r JOIN unnest(v_ids, v_users) AS d(id, user_id) USING (id, user_id)
            WHERE r.status = 'pending' AND r.expires_at <= clock_timestamp() ORDER BY r.id FOR UPDATE OF r) l;
    ELSE
        WITH mine AS MATERIALIZED (
            SELECT user_id, event_id FROM user_event WHERE (user_id, event_id) IN (SELECT * FROM unnest(v_users, v_events))
            ORDER BY user_id, event_id FOR UPDATE SKIP LOCKED)
        SELECT array_agg(d.id), array_agg(d.user_id) INTO v_ids, v_users
        FROM unnest(v_ids, v_users, v_events) AS d(id, user_id, event_id)
        WHERE (d.user_id, d.event_id) IN (SELECT m.user_id, m.event_id FROM mine m)
            OR NOT EXISTS (SELECT FROM user_event u WHERE u.user_id = d.user_id AND u.event_id = d.event_id);
        SELECT array_agg(l.id) INTO v_ids FROM (
            SELECT r.id FROM reservations r JOIN unnest(v_ids, v_users) AS d(id, user_id) USING (id, user_id)
            WHERE r.status = 'pending' AND r.expires_at <= clock_timestamp()
            ORDER BY r.id FOR UPDATE OF r SKIP LOCKED) l;
    END IF;
    IF v_ids IS NOT NULL THEN
        expired := cardinality(v_ids);
        SELECT l.seats, l.tickets INTO seats, tickets FROM let_go(v_ids, 'expired', NULL, false) l;
    END IF;
END $$;

-- Locks an order and before it its buyer's row in user_event; NULL when there is no such order.
CREATE FUNCTION lock_reservation(p_id uuid) RETURNS reservations LANGUAGE plpgsql AS $$
DECLARE
    v_user  uuid;
    v_event uuid;
    v_row   reservations;
BEGIN
    LOOP
        SELECT user_id, event_id INTO v_user, v_event FROM reservations WHERE id = p_id;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        PERFORM 1 FROM user_event WHERE user_id = v_user AND event_id = v_event FOR UPDATE;
        SELECT * INTO v_row FROM reservations WHERE id = p_id AND user_id = v_user FOR UPDATE;
        -- Otherwise its buyer was erased in between.
        IF FOUND THEN
            RETURN v_row;
        END IF;
    END LOOP;
END $$;

-- Ends an order. `cancelled`: by its owner or the organizer; a pending one whose time had passed is expired by that. One
-- that was paid for keeps its payment status, and a message asks for the refund. `refused`: not paid for. `expired`: when
-- its time has passed.
-- Returns `released`, or why there is nothing to do: `not_found`, `cancelled`, `expired`, `confirmed`, `not_due`.
CREATE FUNCTION release_reservation(p_id uuid, p_how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_row reservations := lock_reservation(p_id);
BEGIN
    IF v_row.id IS NULL THEN
        RETURN 'not_found';
    ELSIF v_row.status IN ('cancelled', 'expired') THEN
        RETURN v_row.status;
    ELSIF v_row.status = 'confirmed' THEN
        IF p_how <> 'cancelled' THEN
            RETURN 'confirmed';
        END IF;
        PERFORM let_go(ARRAY[p_id], 'cancelled', NULL, true);
        INSERT INTO outbox (id, topic, payload)
        VALUES (gen_random_uuid(), 'refund', jsonb_build_object('reservation_id', p_id));
        RETURN 'released';
    ELSIF v_row.expires_at <= clock_timestamp() THEN
        PERFORM let_go(ARRAY[p_id], 'expired', CASE WHEN p_how = 'refused' THEN 'failed' END, false);
        -- Who wanted to cancel it was too late.
        RETURN CASE WHEN p_how = 'cancelled' THEN 'expired' ELSE 'released' END;
    ELSIF p_how = 'expired' THEN
        RETURN 'not_due';
    ELSE
        PERFORM let_go(ARRAY[p_id], 'cancelled', CASE WHEN p_how = 'refused' THEN 'failed' END, false);
        RETURN 'released';
    END IF;
END $$;

-- Makes an order one that is paid for: a pending one whose time has not passed, or with `p_late` also one whose time
-- has, if all of what it held can still be had; then the person's limit counts again.
-- Returns `confirmed`, `already_confirmed`, `not_found`, `expired` or `cancelled`; nothing is sold of a cancelled event.
CREATE FUNCTION confirm_reservation(p_id uuid, p_method text, p_late boolean, p_most int) RETURNS text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_row      reservations := lock_reservation(p_id);
    v_amount   bigint;
    v_events   uuid[];
    v_seats    uuid[];
    v_versions bigint[];
    v_types    uuid[];
    v_sold     int[];
    v_held     int[];
BEGIN
    IF v_row.id IS NULL THEN
        RETURN 'not_found';
    ELSIF v_row.status = 'confirmed' THEN
        RETURN 'already_confirmed';
    ELSIF v_row.status = 'cancelled'
        OR EXISTS (SELECT FROM events e WHERE e.id = v_row.event_id AND e.cancelled_at IS NOT NULL) THEN
        RETURN 'cancelled';
    ELSIF (v_row.status = 'expired' OR v_row.expires_at <= clock_timestamp()) AND NOT p_late THEN
        RETURN 'expired';
    END IF;
    IF v_row.status = 'expired' THEN
        SELECT coalesce((SELECT sum(quantity) FROM reservation_items WHERE reservation_id = p_id), 0)
            + (SELECT count(*) FROM reservation_seats WHERE reservation_id = p_id) INTO v_amount;
        UPDATE user_event SET quantity = quantity + v_amount
        WHERE user_id = v_row.user_id AND event_id = v_row.event_id AND quantity + v_amount <= p_most;
        IF NOT FOUND THEN
            RETURN 'expired';
        END IF;
    END IF;

    SELECT coalesce(array_agg(l.id), '{}') INTO v_seats FROM (
        SELECT s.id FROM reservation_seats k JOIN seats s ON s.id = k.seat_id
        WHERE k.reservation_id = p_id AND (s.reservation_id = p_id
            OR (p_late AND (s.status = 'available' OR (s.status = 'locked' AND s.held_until <= clock_timestamp()))))
        ORDER BY s.id FOR UPDATE OF s) l;
    SELECT array_agg(k.ticket_type_id), array_agg(k.quantity),
        array_agg(CASE WHEN v_row.status = 'pending' THEN -k.quantity ELSE 0 END)
    INTO v_types, v_sold, v_held FROM reservation_items k WHERE k.reservation_id = p_id;
    IF v_row.status = 'expired' THEN
        PERFORM 1 FROM ticket_types WHERE id = ANY (v_types) ORDER BY id FOR NO KEY UPDATE;
    END IF;
    -- Looked at under the locks, because nothing must have been moved when something is gone.
    IF cardinality(v_seats) < (SELECT count(*) FROM reservation_seats WHERE reservation_id = p_id)
        OR (v_row.status = 'expired' AND EXISTS (
            SELECT FROM unnest(v_types, v_sold) AS w(id, quantity) JOIN ticket_types t USING (id)
            WHERE t.held + t.sold + w.quantity > t.total_quantity)) THEN
        UPDATE user_event SET quantity = quantity - v_amount
        WHERE user_id = v_row.user_id AND event_id = v_row.event_id AND v_amount IS NOT NULL;
        RETURN 'expired';
    END IF;

    WITH sold AS (
        UPDATE seats s SET status = 'reserved', reservation_id = p_id, held_until = NULL, version = s.version + 1
        WHERE s.id = ANY (v_seats) RETURNING s.id, s.event_id, s.version)
    SELECT array_agg(event_id), array_agg(id), array_agg(version) INTO v_events, v_seats, v_versions FROM sold;
    PERFORM tell_seats(v_events, v_seats, 'reserved', v_versions) WHERE v_seats IS NOT NULL;
    PERFORM move_stock(v_types, v_held, v_sold) WHERE v_types IS NOT NULL;
    UPDATE reservations SET status = 'confirmed', payment_status = 'completed', payment_method = p_method,
        updated_at = clock_timestamp() WHERE id = p_id;
    RETURN 'confirmed';
END $$;

-- Takes a person out of some of their orders; what was still pending is let go of. Each order that stays gets a random
-- buyer of its own, with whom its tickets are counted on.
CREATE FUNCTION disown_reservations(p_user uuid, p_most int, OUT reservations bigint, OUT seats bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_ids     uuid[];
    v_pending uuid[];
BEGIN
    DELETE FROM waiting_list WHERE user_id = p_user;
    PERFORM 1 FROM user_event WHERE user_id = p_user ORDER BY event_id FOR UPDATE;
    SELECT coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.id) FILTER (WHERE l.status = 'pending'), '{}')
    INTO v_ids, v_pending FROM (
        SELECT r.id, r.status FROM reservations r WHERE r.user_id = p_user ORDER BY r.id LIMIT p_most FOR UPDATE) l;
    SELECT l.seats INTO seats FROM let_go(v_pending, NULL, NULL, false) l;
    WITH nobodys AS (
        UPDATE reservations r SET user_id = gen_random_uuid() WHERE r.id = ANY (v_ids)
        RETURNING r.id, r.user_id, r.event_id, r.status),
    moved AS (
        INSERT INTO user_event (user_id, event_id, quantity)
        SELECT n.user_id, n.event_id, coalesce((SELECT sum(k.quantity) FROM reservation_items k
                WHERE k.reservation_id = n.id), 0)
            + (SELECT count(*) FROM reservation_seats k WHERE k.reservation_id = n.id)
        FROM nobodys n WHERE n.status = 'confirmed' RETURNING event_id, quantity)
    UPDATE user_event u SET quantity = u.quantity - m.quantity
    FROM (SELECT event_id, sum(quantity) AS quantity FROM moved GROUP BY event_id) m
    WHERE u.user_id = p_user AND u.event_id = m.event_id;
    DELETE FROM user_event WHERE user_id = p_user AND quantity = 0;
    reservations := cardinality(v_ids);
END $$;

-- Whether a seat can be had: a hold whose time has passed holds nothing.
CREATE FUNCTION is_free(s seats) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT s.status = 'available' OR (s.status = 'locked' AND s.held_until <= clock_timestamp())
$$;

-- Seats side by side in one row, the best first: near the stage, none left alone beside them, near the middle.
CREATE FUNCTION adjacent_seats(p_event uuid, p_quantity int, p_section text, p_max_price bigint)
RETURNS TABLE (ids uuid[]) LANGUAGE sql STABLE AS $$
    WITH places AS (
        SELECT s.id, s.section, s.row_number, s.seat_number, s.price, is_free(s) AS is_free,
            max(s.seat_number) OVER (PARTITION BY s.section, s.row_number) AS last_seat
        FROM seats s WHERE s.event_id = p_event AND (p_section IS NULL OR s.section = p_section)),
    runs AS (
        SELECT p.*, p.seat_number - row_number() OVER (PARTITION BY section, row_number ORDER BY seat_number) AS run
        FROM places p WHERE p.is_free AND (p_max_price IS NULL OR p.price <= p_max_price)),
    windows AS (
        SELECT r.section, r.row_number, r.seat_number, r.last_seat,
            array_agg(r.id) OVER (PARTITION BY section, row_number, run ORDER BY seat_number
                ROWS BETWEEN CURRENT ROW AND p_quantity - 1 FOLLOWING) AS ids,
            r.seat_number - min(r.seat_number) OVER (PARTITION BY section, row_number, run) AS before,
            max(r.seat_number) OVER (PARTITION BY section, row_number, run) - r.seat_number - p_quantity + 1 AS behind
        FROM runs r)
    SELECT w.ids FROM windows w WHERE cardinality(w.ids) = p_quantity
    ORDER BY w.row_number, (w.before = 1)::int + (w.behind = 1)::int,
        abs(2 * w.seat_number + p_quantity - 2 - w.last_seat), w.section, w.seat_number
$$;

-- Locks the best seats side by side that nobody else has locked, without waiting: who is late gets other seats and no
-- refusal. Returns none when there are none, or when somebody is at all of them (`o_is_busy`).
CREATE FUNCTION lock_adjacent_seats(p_event uuid, p_quantity int, p_section text, p_max_price bigint,
    OUT o_seats uuid[], OUT o_is_busy boolean)
LANGUAGE plpgsql AS $$
DECLARE
    v_wanted uuid[];
    v_busy   uuid[] := '{}';
BEGIN
    FOR v_wanted IN SELECT ids FROM adjacent_seats(p_event, p_quantity, p_section, p_max_price) LOOP
        CONTINUE WHEN v_wanted && v_busy;
        SELECT array_agg(l.id) INTO o_seats FROM (
            SELECT s.id FROM seats s WHERE s.id = ANY (v_wanted) AND is_free(s) ORDER BY s.id FOR UPDATE SKIP LOCKED) l;
        IF cardinality(o_seats) = p_quantity THEN
            o_is_busy := false;
            RETURN;
        END IF;
        v_busy := v_busy || ARRAY(SELECT unnest(v_wanted) EXCEPT SELECT unnest(o_seats));
    END LOOP;
    o_seats := NULL;
    o_is_busy := v_busy <> '{}';
END $$;

-- Holds seats for somebody: those named, all or none, or with `p_seats` NULL that many side by side.
--
-- Outcomes: `created`, `kept`, `idempotency_key_reused`, `idempotency_in_progress`, `event_not_found`, `sale_closed`,
-- `limit_reached`, or unless `p_final` `due` (see reserve_batch), `seat_not_found`, `seat_taken`; of seats side by side
-- `no_seats`, `sold_out`, `no_adjacent_seats`, and `busy`: ask again.
CREATE FUNCTION hold_seats(
    p_id uuid, p_number text, p_event uuid, p_user uuid, p_route text, p_key text, p_hash bytea, p_message text,
    p_hold_seconds double precision, p_most int, p_final boolean,
    p_seats uuid[], p_quantity int, p_section text, p_max_price bigint,
    OUT outcome text, OUT status int, OUT answer text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_open     boolean;
    v_known    int;
    v_free     int;
    v_seats    uuid[];
    v_busy     boolean;
    v_kept     record;
    v_expires  timestamptz;
    v_total    bigint;
    v_shown    jsonb;
    v_events   uuid[];
    v_versions bigint[];
BEGIN
    SELECT is_on_sale(e) INTO v_open FROM events e WHERE e.id = p_event;
    IF v_open IS NULL THEN
        outcome := 'event_not_found';
    ELSIF NOT v_open THEN
        outcome := 'sale_closed';
    ELSIF p_seats IS NOT NULL THEN
        -- Who comes too late need not wait for a lock to hear it.
        SELECT count(*), count(*) FILTER (WHERE is_free(s)) INTO v_known, v_free
        FROM seats s WHERE s.id = ANY (p_seats) AND s.event_id = p_event;
        outcome := CASE WHEN v_known < p_quantity THEN 'seat_not_found' WHEN v_free < p_quantity THEN 'seat_taken' END;
    ELSE
        SELECT CASE WHEN EXISTS (SELECT FROM seats s WHERE s.event_id = p_event
                                 AND (p_section IS NULL OR s.section = p_section)) THEN NULL
            WHEN p_section IS NULL THEN 'no_seats' ELSE 'seat_not_found' END INTO outcome;
    END IF;

    IF outcome IS NULL AND p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS k (user_id, route, key, body_hash, status, answer)
        VALUES (p_user, p_route, p_key, p_hash, 201, '{}')
        ON CONFLICT (user_id, route, key) DO UPDATE
            SET body_hash = excluded.body_hash, status = excluded.status, answer = excluded.answer, created_at = now()
            WHERE k.created_at <= now() - interval '24 hours';
        IF NOT FOUND THEN
            outcome := 'idempotency_in_progress';
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        -- Who asks again is answered before anything else.
        FOR v_kept IN SELECT * FROM kept_answers(ARRAY[p_user], p_route, ARRAY[p_key], ARRAY[p_hash]) LOOP
            outcome := CASE WHEN v_kept.is_same THEN 'kept' ELSE 'idempotency_key_reused' END;
            status := v_kept.status;
            answer := v_kept.answer;
        END LOOP;
        RETURN;
    END IF;

    INSERT INTO user_event AS u (user_id, event_id, quantity)
    SELECT p_user, p_event, p_quantity WHERE p_quantity <= p_most
    ON CONFLICT (user_id, event_id) DO UPDATE SET quantity = u.quantity + excluded.quantity
        WHERE u.quantity + excluded.quantity <= p_most;
    IF NOT FOUND THEN
        DELETE FROM idempotency_keys WHERE user_id = p_user AND route = p_route AND key = p_key;
        outcome := CASE WHEN NOT p_final AND EXISTS (
            SELECT FROM reservations r WHERE r.user_id = p_user AND r.event_id = p_event
            AND r.status = 'pending' AND r.expires_at <= clock_timestamp()) THEN 'due' ELSE 'limit_reached' END;
        RETURN;
    END IF;

    IF p_seats IS NULL THEN
        SELECT o_seats, o_is_busy INTO v_seats, v_busy
        FROM lock_adjacent_seats(p_event, p_quantity, p_section, p_max_price);
    ELSE
        SELECT array_agg(l.id) INTO v_seats FROM (
            SELECT s.id FROM seats s WHERE s.id = ANY (p_seats) AND s.event_id = p_event AND is_free(s)
            ORDER BY s.id FOR UPDATE) l;
    END IF;
    IF cardinality(v_seats) IS DISTINCT FROM p_quantity THEN
        UPDATE user_event SET quantity = quantity - p_quantity WHERE user_id = p_user AND event_id = p_event;
        DELETE FROM idempotency_keys WHERE user_id = p_user AND route = p_route AND key = p_key;
        outcome := CASE
            WHEN p_seats IS NOT NULL THEN 'seat_taken'
            WHEN v_busy THEN 'busy'
            WHEN EXISTS (SELECT FROM seats s WHERE s.event_id = p_event AND is_free(s)
                         AND (p_section IS NULL OR s.section = p_section)
                         AND (p_max_price IS NULL OR s.price <= p_max_price)) THEN 'no_adjacent_seats'
            ELSE 'sold_out' END;
        RETURN;
    END IF;

    v_expires := date_trunc('milliseconds', clock_timestamp() + make_interval(secs => p_hold_seconds));
    INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at)
    SELECT p_id, p_number, p_event, p_user, sum(s.price), v_expires FROM seats s WHERE s.id = ANY (v_seats);
    WITH held AS (
        UPDATE seats s SET status = 'locked', reservation_id = p_id, held_until = v_expires, version = s.version + 1
        WHERE s.id = ANY (v_seats) RETURNING s.*),
    kept AS (
        INSERT INTO reservation_seats (reservation_id, seat_id, price) SELECT p_id, h.id, h.price FROM held h)
    SELECT array_agg(h.event_id), array_agg(h.id), array_agg(h.version), sum(h.price), jsonb_agg(jsonb_build_object(
        'id', h.id, 'section', h.section, 'row_number', h.row_number, 'seat_number', h.seat_number,
        'seat_label', h.seat_label, 'price', h.price, 'status', 'locked')
        ORDER BY h.section, h.row_number, h.seat_number)
    INTO v_events, v_seats, v_versions, v_total, v_shown FROM held h;
    PERFORM tell_seats(v_events, v_seats, 'locked', v_versions);
    v_shown := jsonb_build_object('message', p_message, 'reservation', jsonb_build_object(
        'id', p_id, 'reservationNumber', p_number, 'totalAmount', v_total, 'expiresAt', wire_time(v_expires),
        'seats', v_shown));
    UPDATE idempotency_keys k SET answer = v_shown
    WHERE k.user_id = p_user AND k.route = p_route AND k.key = p_key;
    answer := v_shown::text;
    outcome := 'created';
    status := 201;
END $$;
