-- name: lock_schema
SELECT pg_advisory_xact_lock(hashtext('platform.schema'), hashtext($1));

-- name: provisioned_schemas
SELECT 'tenant_' || replace(slug, '-', '_') AS schema
FROM public.tenants
WHERE state IN ('ACTIVE', 'SUSPENDED')
ORDER BY created_at;

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1);

-- name: lock_tenant
SELECT * FROM public.tenants WHERE id = $1 FOR UPDATE;

-- name: set_tenant_state
UPDATE public.tenants SET state = $2 WHERE id = $1;

-- name: take_founder
DELETE FROM public.founders WHERE tenant_id = $1
RETURNING user_id, email, full_name, password_hash;

-- name: insert_founder
INSERT INTO users (id, email, full_name, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, 'OWNER', $5)
ON CONFLICT (id) DO NOTHING;
