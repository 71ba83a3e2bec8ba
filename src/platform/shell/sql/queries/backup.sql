-- name: public_version
SELECT max(version) FROM public.schema_migrations;

-- name: tenants_to_back_up
-- Those that have a schema, whatever state they are in.
SELECT t.id, t.slug, n.nspname AS schema
FROM public.tenants AS t
JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'tenant_' || replace(t.slug, '-', '_')
WHERE $1::text IS NULL OR t.slug = $1
ORDER BY t.created_at;

-- name: stays_in_backups
SELECT t.id, p.backups_days AS days, t.state = 'DELETED' AS is_erased,
    EXISTS (SELECT FROM public.legal_holds WHERE tenant_id = t.id AND lifted_at IS NULL) AS is_held
FROM public.tenants AS t
LEFT JOIN public.retention_policies AS p ON p.tenant_id = t.id;

-- name: has_registry
SELECT to_regclass('public.tenants') IS NOT NULL;
