-- name: insert_usage
-- One round trip: store what is new, remember which quarter hours it touched, count it. Keys are looked up among the
-- spent ones, each by the index, only where retention has deleted any.
WITH arrived AS (
    SELECT *
    FROM jsonb_to_recordset($1::jsonb) AS event (
        source text, id text, resource text, quantity numeric, occurred_at timestamptz, attributes jsonb
    )
), inserted AS (
    INSERT INTO usage_events (source, id, resource, quantity, occurred_at, received_at, attributes)
    SELECT source, id, resource, quantity, occurred_at, $2, attributes
    FROM arrived
    WHERE NOT (SELECT EXISTS (SELECT FROM spent_keys))
       OR (SELECT s.key FROM spent_keys AS s WHERE s.key = encode(substr(sha256(convert_to(source || E'\n' || arrived.id, 'UTF8')), 1, 16), 'hex')::uuid) IS NULL
    ON CONFLICT (source, id) DO NOTHING
    RETURNING occurred_at
), touched AS (
    INSERT INTO usage_batches (quarter_hours, received_at)
    SELECT array_agg(DISTINCT date_bin('15 minutes', occurred_at, 'epoch')), $2
    FROM inserted
    HAVING count(*) > 0
)
SELECT count(*) FROM inserted;

-- name: take_usage_batches
-- With the transaction they are gone for good, or there again.
DELETE FROM usage_batches RETURNING quarter_hours;

-- name: usage_to_judge
-- The complete days that have no verdict, and those from $2 on.
SELECT day, resource, quantity, judged FROM daily_usage WHERE day < $1 AND (day >= $2 OR NOT judged);

-- name: few_events
-- In order, so that the index by time is read, however large the table is; one row more than wanted tells of more.
SELECT width_bucket(occurred_at, $1::timestamptz[]), resource, quantity
FROM usage_events
WHERE occurred_at >= $2 AND occurred_at < $3
ORDER BY occurred_at
LIMIT $4;

-- name: copy_events
-- Read by COPY, which takes no parameters: the literals are instants that the caller computed.
SELECT width_bucket(occurred_at, '{starts}'::timestamptz[]), resource, quantity
FROM usage_events
WHERE occurred_at >= '{start}' AND occurred_at < '{end}';

-- name: write_days
-- In one statement: usage and its costs; days that are over are judged next.
WITH figures AS (
    SELECT *
    FROM jsonb_to_recordset($1::jsonb) AS figure (
        day date, resource text, quantity numeric, events bigint, unit_price numeric, price_id uuid,
        currency text, amount numeric
    )
), usage AS (
    INSERT INTO daily_usage (day, resource, quantity, events, aggregated_at, judged)
    SELECT day, resource, trim_scale(quantity), events, $2, day < $3 FROM figures
    ON CONFLICT (day, resource) DO UPDATE
    SET quantity = excluded.quantity, events = excluded.events, aggregated_at = excluded.aggregated_at,
        judged = excluded.judged
)
INSERT INTO cost_records (day, resource, quantity, unit_price, price_id, currency, amount)
SELECT day, resource, trim_scale(quantity), unit_price, price_id, currency, amount FROM figures
ON CONFLICT (day, resource) DO UPDATE
SET quantity = excluded.quantity, unit_price = excluded.unit_price, price_id = excluded.price_id,
    currency = excluded.currency, amount = excluded.amount;

-- name: mark_judged
UPDATE daily_usage SET judged = true WHERE day = ANY ($1::date[]) AND NOT judged;

-- name: write_anomalies
WITH found AS (
    SELECT *
    FROM jsonb_to_recordset($2::jsonb) AS anomaly (
        id uuid, day date, resource text, observed numeric, expected float8, expected_low float8,
        expected_high float8, z_score float8, severity text
    )
), withdrawn AS (
    DELETE FROM anomalies
    WHERE day = ANY ($1::date[])
      AND acknowledged_at IS NULL
      AND (day, resource) NOT IN (SELECT day, resource FROM found)
)
INSERT INTO anomalies
    (id, day, resource, observed, expected, expected_low, expected_high, z_score, severity, detected_at)
SELECT id, day, resource, trim_scale(observed), expected, expected_low, expected_high, z_score, severity, $3
FROM found
ON CONFLICT (day, resource) DO UPDATE
SET observed = excluded.observed, expected = excluded.expected, expected_low = excluded.expected_low,
    expected_high = excluded.expected_high, z_score = excluded.z_score, severity = excluded.severity
RETURNING resource, (xmax = 0) AS is_new;

-- name: has_open_days
SELECT EXISTS (SELECT FROM usage_batches)
    OR EXISTS (SELECT FROM daily_usage WHERE NOT judged AND day < $1);

-- name: list_usage
SELECT id, source, resource, quantity, occurred_at, received_at, attributes
FROM usage_events
WHERE occurred_at >= coalesce((SELECT max(before) FROM retention_marks WHERE target = 'usage_events'), '-infinity')
  AND ($1::text IS NULL OR resource = $1)
  AND ($2::text IS NULL OR source = $2)
  AND ($3::timestamptz IS NULL OR occurred_at >= $3)
  AND ($4::timestamptz IS NULL OR occurred_at < $4)
  AND ($5::timestamptz IS NULL OR (occurred_at, source, id) < ($5, $6, $7))
ORDER BY occurred_at DESC, source DESC, id DESC
LIMIT $8;

-- name: usage_import
SELECT * FROM usage_imports WHERE id = $1;

-- name: advance_usage_import
-- Changes no row where another import of the same file has come further than the caller knows.
INSERT INTO usage_imports (id, file_name, rows_done, accepted, duplicates, rejected, started_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (id) DO UPDATE
SET rows_done = excluded.rows_done,
    accepted = excluded.accepted,
    duplicates = excluded.duplicates,
    rejected = excluded.rejected,
    updated_at = excluded.updated_at
WHERE usage_imports.rows_done = $8;
