-- name: insert_tenant
INSERT INTO public.tenants (id, slug, name, state, country, vat_id, time_zone, currency, created_at, tier)
VALUES ($1, $2, $3, 'PENDING', $4, $5, $6, $7, $8, $9)
ON CONFLICT (slug) DO NOTHING
RETURNING *;

-- name: insert_pending_founder
INSERT INTO public.founders (tenant_id, user_id, email, full_name, password_hash) VALUES ($1, $2, $3, $4, $5);

-- name: tenants_to_close
SELECT id, time_zone FROM public.tenants WHERE state IN ('ACTIVE', 'SUSPENDED') ORDER BY created_at;

-- name: tenants_with_a_schema
SELECT id FROM public.tenants WHERE state IN ('ACTIVE', 'SUSPENDED') ORDER BY created_at;

-- name: tenant_counts
SELECT state, count(*) FROM public.tenants GROUP BY state;

-- name: known_tenants
SELECT id FROM public.tenants WHERE state <> 'DELETED';

-- name: tenants_to_invoice
SELECT id FROM public.tenants
WHERE state IN ('ACTIVE', 'SUSPENDED') AND ($1::text IS NULL OR slug = $1)
ORDER BY created_at;

-- name: unfinished_import
-- A tenant that an import began and did not end; one that a job is still provisioning is somebody else's.
SELECT *
FROM public.tenants AS t
WHERE slug = $1 AND state IN ('PENDING', 'PROVISIONING')
  AND NOT EXISTS (SELECT FROM public.jobs WHERE kind = 'provision_tenant' AND tenant_id = t.id);
