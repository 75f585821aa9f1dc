-- Money for a reservation, on its way or there. A row says what we have asked the provider for before it is asked, so
-- that whoever finds it after a crash knows that there is something to find out.
CREATE TABLE payments (
    id             uuid PRIMARY KEY,
    reservation_id uuid NOT NULL REFERENCES reservations (id),
    provider       text NOT NULL CHECK (provider IN ('sandbox', 'toss')),
    -- What the provider knows the purchase by; made by us, in the form that Toss Payments wants.
    order_id       text NOT NULL UNIQUE CHECK (order_id ~ '^[0-9A-Za-z_-]{6,64}$'),
    -- What the provider knows the buyer's consent by; comes with the buyer.
    payment_key    text CHECK (length(payment_key) BETWEEN 1 AND 200),
    method         text NOT NULL CHECK (method IN ('naver_pay', 'kakao_pay', 'bank_transfer', 'toss_payments')),
    -- KRW; what costs nothing needs no payment.
    amount         bigint NOT NULL CHECK (amount > 0),
    status         text NOT NULL DEFAULT 'prepared'
        CHECK (status IN ('prepared', 'authorising', 'captured', 'refund_pending', 'refunded', 'failed')),
    -- Why it failed, or why a refund does not come about: the provider's code, or our own in lower case.
    failure        text,
    -- How often the reconciler has asked about the present state.
    attempts       int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Part of the idempotency key that the provider sees: it repeats an error under the key that met it.
    round          int NOT NULL DEFAULT 0 CHECK (round >= 0),
    -- When the reconciler may ask; somebody else is at it until then.
    next_try_at    timestamptz,
    version        bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    authorised_at  timestamptz,
    captured_at    timestamptz,
    refunded_at    timestamptz,
    -- A consent pays for one purchase.
    UNIQUE (provider, payment_key),
    CHECK (status IN ('prepared', 'failed') OR payment_key IS NOT NULL),
    -- What is not settled is always somebody's to look at.
    CHECK ((status IN ('authorising', 'refund_pending')) = (next_try_at IS NOT NULL)),
    -- Money that came is a ticket, or owed, or given back, and never a failure.
    CHECK ((status IN ('captured', 'refund_pending', 'refunded')) = (captured_at IS NOT NULL)),
    CHECK ((status = 'refunded') = (refunded_at IS NOT NULL)),
    CHECK (status <> 'authorising' OR authorised_at IS NOT NULL)
);

-- A reservation is paid for in one way at a time, and once.
CREATE UNIQUE INDEX payments_live ON payments (reservation_id)
    WHERE status IN ('prepared', 'authorising', 'captured');
CREATE INDEX payments_reservation ON payments (reservation_id);
-- What the reconciler looks for: its cost follows what is unsettled and not what was ever paid.
CREATE INDEX payments_due ON payments (next_try_at) WHERE next_try_at IS NOT NULL;

-- What providers have told us, each event once. It says where to look and is never believed: the provider is asked.
CREATE TABLE payment_webhooks (
    provider    text NOT NULL CHECK (provider IN ('toss')),
    event_id    text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 200),
    order_id    text NOT NULL REFERENCES payments (order_id),
    attempts    int NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at     timestamptz,
    PRIMARY KEY (provider, event_id)
);

CREATE INDEX payment_webhooks_due ON payment_webhooks (next_try_at) WHERE done_at IS NULL;
-- For coalescing events of one order, and for forgetting old ones with their order.
CREATE INDEX payment_webhooks_order ON payment_webhooks (order_id);
CREATE INDEX payment_webhooks_done ON payment_webhooks (done_at) WHERE done_at IS NOT NULL;

-- What one person comes in with; made with the confirmation that it belongs to. It opens the door for as long as its
-- reservation is confirmed, and once.
CREATE TABLE tickets (
    id             uuid PRIMARY KEY,
    reservation_id uuid NOT NULL REFERENCES reservations (id),
    event_id       uuid NOT NULL,
    -- A seat, or the how-maniest of a ticket type.
    seat_id        uuid REFERENCES seats (id),
    ticket_type_id uuid,
    ordinal        int NOT NULL CHECK (ordinal > 0),
    -- An account; accounts live in another database.
    holder_id      uuid NOT NULL,
    used_at        timestamptz,
    version        bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((seat_id IS NULL) <> (ticket_type_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (reservation_id, seat_id, ticket_type_id, ordinal)
);

CREATE INDEX tickets_holder ON tickets (holder_id);
-- Without it every seat that is deleted looks through all tickets for one that names it.
CREATE INDEX tickets_seat ON tickets (seat_id) WHERE seat_id IS NOT NULL;
