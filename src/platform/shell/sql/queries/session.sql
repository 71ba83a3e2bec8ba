-- The only statements that enter a tenant's schema. A tenant without a schema yet, or any more, has no role.

-- name: enter_tenant
SELECT t.*,
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
WHERE t.id = $1;

-- name: enter_tenant_by_slug
SELECT t.*,
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
WHERE t.slug = $1;
