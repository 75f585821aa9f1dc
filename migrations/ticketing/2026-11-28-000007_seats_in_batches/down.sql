DROP FUNCTION hold_seats_batch;
CREATE OR REPLACE FUNCTION tell_seats(p_events uuid[], p_seats uuid[], p_status text, p_versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (id, topic, payload)
    SELECT gen_random_uuid(), 'notice', jsonb_build_object('kind', 'seats', 'event_id', event_id, 'seats',
        jsonb_agg(jsonb_build_object('seat_id', seat_id, 'status', p_status, 'version', version)))
    FROM unnest(p_events, p_seats, p_versions) WITH ORDINALITY AS s(event_id, seat_id, version, at)
    GROUP BY event_id, (at - 1) / 100;
END $$;
ALTER TABLE reservations DROP CONSTRAINT reservations_reservation_number_check;
ALTER TABLE reservations ADD CONSTRAINT reservations_reservation_number_check
    CHECK (reservation_number ~ '^TK[0-9A-Z]{12}$');
ALTER TABLE reservation_seats
    ADD FOREIGN KEY (reservation_id) REFERENCES reservations (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (seat_id) REFERENCES seats (id);
ALTER TABLE seats SET (fillfactor = 80);
