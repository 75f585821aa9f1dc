-- Finding words of three letters and more. A trusted extension: whoever owns the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The single letters and the pairs of neighbours of a text. Most Korean words that people look for have two letters,
-- which no trigram finds. White space is part of none, so a pair never runs from one word or field into the next.
CREATE FUNCTION short_grams(text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    -- What it costs beside a comparison, so that the planner takes the index and not this.
    COST 2000
AS $$
    SELECT coalesce(array_agg(DISTINCT gram), '{}')
    FROM (
        SELECT letter, letter || lead(letter) OVER (ORDER BY place) AS pair
        FROM unnest(string_to_array(lower($1), NULL)) WITH ORDINALITY AS letters (letter, place)
    ) AS neighbours
    CROSS JOIN LATERAL (VALUES (letter), (pair)) AS grams (gram)
    WHERE gram !~ '\s'
$$;

CREATE INDEX events_trigrams ON events USING gin (search_text gin_trgm_ops);
CREATE INDEX events_short_grams ON events USING gin (short_grams(search_text));

-- What is over, and what is not, without a look at every event there ever was.
CREATE INDEX events_closes_at ON events ((least(sale_end_date, event_date))) WHERE cancelled_at IS NULL;
CREATE INDEX events_cancelled ON events (sale_start_date, id) WHERE cancelled_at IS NOT NULL;

-- When the last reservation of a cancelled event had been let go of; nothing is left to do from then on.
ALTER TABLE events ADD COLUMN settled_at timestamptz;
-- Until when one replica is at that work; when it dies, another goes on from then.
ALTER TABLE events ADD COLUMN settling_until timestamptz;
CREATE INDEX events_to_settle ON events (cancelled_at) WHERE cancelled_at IS NOT NULL AND settled_at IS NULL;

-- The same index with the id beside it: an event's newest orders, and going through all of them in pieces.
DROP INDEX reservations_event;
CREATE INDEX reservations_event ON reservations (event_id, id);
-- What has been earned, from the index alone. Written when an order is paid for, not when it is made.
CREATE INDEX reservations_confirmed ON reservations (event_id) INCLUDE (total_amount) WHERE status = 'confirmed';
-- Orders of one day: rows lie in the order in which they were made, so a summary of each block is enough, and costs a
-- hot sale nothing.
CREATE INDEX reservations_created_at ON reservations USING brin (created_at) WITH (pages_per_range = 32);
