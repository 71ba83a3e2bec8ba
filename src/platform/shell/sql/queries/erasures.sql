-- name: erasure
SELECT * FROM public.erasures WHERE tenant_id = $1;

-- name: lock_erasure
SELECT * FROM public.erasures WHERE tenant_id = $1 FOR UPDATE;

-- name: erasure_steps
SELECT step, finished_at, facts FROM public.erasure_steps WHERE tenant_id = $1;

-- name: request_erasure
-- Over one that was cancelled before.
INSERT INTO public.erasures (tenant_id, state, requested_at, due_at, resumes_as, job_id)
VALUES ($1, 'REQUESTED', $2, $3, $4, $5)
ON CONFLICT (tenant_id) DO UPDATE
SET state = 'REQUESTED', requested_at = $2, due_at = $3, resumes_as = $4, job_id = $5, ended_at = NULL;

-- name: set_erasure_state
UPDATE public.erasures SET state = $2, ended_at = $3 WHERE tenant_id = $1;

-- name: end_erasure
UPDATE public.erasures SET state = $2, ended_at = $3, identifiers = NULL WHERE tenant_id = $1;

-- name: set_erasure_job
UPDATE public.erasures SET job_id = $2 WHERE tenant_id = $1;

-- name: keep_identifiers
UPDATE public.erasures SET identifiers = $2 WHERE tenant_id = $1;

-- name: record_erasure_step
INSERT INTO public.erasure_steps (tenant_id, step, finished_at, facts) VALUES ($1, $2, $3, $4);

-- name: forget_erasure_steps
DELETE FROM public.erasure_steps WHERE tenant_id = $1;

-- name: due_erasures
-- Those that no job works on any more: its attempts are used up, it was never queued, or a hold was lifted.
SELECT e.tenant_id FROM public.erasures AS e
WHERE e.state IN ('REQUESTED', 'RUNNING') AND e.due_at <= $1
    AND NOT EXISTS (
        SELECT FROM public.jobs AS j
        WHERE j.id = e.job_id AND j.state IN ('QUEUED', 'RUNNING')
    )
    AND (e.state = 'RUNNING' OR NOT EXISTS (
        SELECT FROM public.legal_holds AS h WHERE h.tenant_id = e.tenant_id AND h.lifted_at IS NULL
    ))
ORDER BY e.due_at
LIMIT 100
FOR UPDATE OF e SKIP LOCKED;

-- name: tables_of_schema
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
ORDER BY c.relname;

-- name: schema_exists
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1);

-- name: people_to_erase
SELECT id, email, full_name FROM users;

-- name: invited_to_erase
SELECT email FROM invitations;

-- name: machines_to_erase
SELECT id FROM public.api_keys WHERE tenant_id = $1;

-- name: jobs_to_erase
SELECT id FROM public.jobs WHERE tenant_id = $1 AND id <> $2;

-- name: founder_to_erase
SELECT user_id AS id, email, full_name FROM public.founders WHERE tenant_id = $1;

-- name: erase_jobs
DELETE FROM public.jobs WHERE tenant_id = $1 AND id <> $2;

-- name: erase_idempotency_keys
DELETE FROM public.idempotency_keys
WHERE strpos(caller, $1::uuid::text) > 0 OR strpos(result, $1::uuid::text) > 0;

-- name: clear_tenant
UPDATE public.tenants SET name = 'erased', vat_id = NULL WHERE id = $1;

-- name: close_tenant
UPDATE public.tenants SET state = $2, slug = $3 WHERE id = $1;

-- name: erasure_entry
SELECT id FROM public.audit_log
WHERE chain = 'platform' AND subject = $1 AND action = 'tenant.erase'
ORDER BY occurred_at DESC
LIMIT 1;

-- name: columns_to_scan
-- Every column of the shared schema that can hold a name or an id.
SELECT format('%I.%I', n.nspname, c.relname) AS name, array_agg(quote_ident(a.attname) ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
    AND coalesce(e.typname, t.typname) IN ('text', 'varchar', 'bpchar', 'name', 'json', 'jsonb', 'bytea', 'uuid', 'xml')
GROUP BY n.nspname, c.relname
ORDER BY c.relname;

-- name: keep_certificate
INSERT INTO public.erasure_certificates (tenant_id, issued_at, statement, signature) VALUES ($1, $2, $3, $4);

-- name: latest_certificate
SELECT statement, signature FROM public.erasure_certificates
WHERE tenant_id = $1
ORDER BY issued_at DESC
LIMIT 1;

-- name: lock_wrapped_keys
SELECT tenant_id AS id, wrapped_key AS sealed FROM public.legal_archives
WHERE wrapped_key IS NOT NULL ORDER BY tenant_id FOR UPDATE;

-- name: rewrap_keys
UPDATE public.legal_archives AS a SET wrapped_key = anew.sealed
FROM unnest($1::uuid[], $2::bytea[]) AS anew (id, sealed)
WHERE a.tenant_id = anew.id;

-- name: lock_kept_identifiers
SELECT tenant_id AS id, identifiers AS sealed FROM public.erasures
WHERE identifiers IS NOT NULL ORDER BY tenant_id FOR UPDATE;

-- name: reseal_identifiers
UPDATE public.erasures AS e SET identifiers = anew.sealed
FROM unnest($1::uuid[], $2::bytea[]) AS anew (id, sealed)
WHERE e.tenant_id = anew.id;

-- name: lock_certificates
SELECT tenant_id, issued_at, statement, signature FROM public.erasure_certificates
ORDER BY tenant_id, issued_at FOR UPDATE;

-- name: sign_certificates_anew
UPDATE public.erasure_certificates AS c SET signature = anew.signature
FROM unnest($1::uuid[], $2::timestamptz[], $3::bytea[]) AS anew (tenant_id, issued_at, signature)
WHERE c.tenant_id = anew.tenant_id AND c.issued_at = anew.issued_at;

-- name: tenants_to_replay
SELECT * FROM public.tenants ORDER BY created_at;

-- name: schemas_to_replay
SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, 'tenant_')
UNION
SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'tenant_')
ORDER BY 1;

-- name: archives_to_replay
SELECT tenant_id FROM public.legal_archives WHERE destroyed_at IS NULL;
