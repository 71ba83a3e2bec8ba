-- name: settle_for_copy
-- Long, in one order, and in texts that do not depend on how the server is set up.
SELECT set_config('statement_timeout', '6h', true),
       set_config('synchronize_seqscans', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('timezone', 'UTC', true),
       set_config('datestyle', 'ISO', true),
       set_config('intervalstyle', 'iso_8601', true),
       set_config('extra_float_digits', '1', true);

-- name: live_columns
-- Every column of every table in the schema: what it is, how COPY is to read it, whether it is in the key.
SELECT c.relname AS table_name,
       quote_ident(c.relname) AS relation,
       pg_relation_size(c.oid) AS bytes,
       a.attname AS column_name,
       CASE
           WHEN t.typcategory = 'A' AND e.typname = 'timestamptz' THEN format('to_json(%I)', a.attname)
           WHEN t.typcategory = 'A' THEN format('to_json(%I::text[])', a.attname)
           WHEN t.typname = 'bytea' THEN format($$translate(encode(%I, 'base64'), E'\n', '')$$, a.attname)
           ELSE quote_ident(a.attname)
       END AS expression,
       CASE
           WHEN t.typcategory = 'A' THEN 'list'
           WHEN t.typname IN ('int2', 'int4', 'int8') THEN 'integer'
           WHEN t.typname = 'numeric' THEN 'decimal'
           WHEN t.typname IN ('float4', 'float8') THEN 'number'
           WHEN t.typname = 'bool' THEN 'boolean'
           WHEN t.typname = 'timestamptz' THEN 'instant'
           WHEN t.typname = 'jsonb' THEN 'json'
           WHEN t.typname = 'bytea' THEN 'bytes'
           WHEN t.typname IN ('uuid', 'date') THEN t.typname::text
           ELSE 'text'
       END AS kind,
       NOT a.attnotnull AS is_nullable,
       a.attnotnull AND a.atthasdef IS FALSE AND a.attidentity = '' AS is_needed,
       coalesce(a.attnum = ANY (k.indkey), false) AS is_key
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS e ON e.oid = t.typelem
LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname, a.attnum;

-- name: live_references
-- Which tables must be filled before which.
SELECT DISTINCT c.relname AS table_name, f.relname AS needs
FROM pg_constraint AS r
JOIN pg_class AS c ON c.oid = r.conrelid
JOIN pg_class AS f ON f.oid = r.confrelid
WHERE r.contype = 'f' AND c.relnamespace = current_schema()::regnamespace AND c.oid <> f.oid;

-- name: open_imported_days
-- What came in after the last aggregation waits for the next one; the platform's own notes of it are in no package.
INSERT INTO usage_batches (quarter_hours, received_at)
SELECT array_agg(DISTINCT date_bin('15 minutes', occurred_at, 'epoch')), $1
FROM usage_events
WHERE received_at >= coalesce((SELECT max(aggregated_at) FROM daily_usage), '-infinity')
HAVING count(*) > 0;
