-- The only statements that enter a tenant's schema. A tenant without a schema yet, or any more, has no role.

-- name: enter_tenant
SELECT t.*,
       t.xmin::text AS version,
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
WHERE t.id = $1;

-- name: enter_known_tenant
-- Travels with the statement that reads, and gives no row. Where the tenant's row is another one by now it asks for
-- a role that there is not, and fails: what travels with it must not run with any other role than the tenant's.
SELECT
FROM (
    SELECT set_config(
        'role',
        coalesce(
            (
                SELECT 'tenant_' || replace(t.slug, '-', '_')
                FROM public.tenants AS t
                WHERE t.id = $1 AND t.xmin = $2::xid AND t.state IN ('ACTIVE', 'SUSPENDED')
            ),
            'of a tenant that has changed'
        ),
        true
    ) AS role
    OFFSET 0
) AS entered
WHERE set_config('search_path', role || ', pg_temp', true) IS NULL;

-- name: enter_tenant_by_slug
SELECT t.*,
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
WHERE t.slug = $1;

-- name: enter_tenant_to_record
-- With a mark, in the same transaction, that the tenant has usage to close.
WITH marked AS (
    INSERT INTO public.usage_marks (tenant_id)
    SELECT id FROM public.tenants WHERE id = $1 OR slug = $2
    RETURNING tenant_id
)
SELECT t.*,
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
JOIN marked ON marked.tenant_id = t.id;

-- name: enter_tenant_to_close
-- With the prices that may apply to it. Until the transaction ends nobody else closes days of this tenant: a
-- verdict stands on settled days.
SELECT t.*,
       (SELECT json_agg(price)
        FROM (
            SELECT id, tenant_id, resource, unit_price::text, currency, effective_from
            FROM public.prices
            WHERE tenant_id IS NULL OR tenant_id = t.id
        ) AS price) AS prices,
       pg_advisory_xact_lock(
           hashtext('platform.closing'), hashtext('tenant_' || replace(t.slug, '-', '_'))
       ),
       CASE WHEN t.state IN ('ACTIVE', 'SUSPENDED') THEN
           set_config('role', 'tenant_' || replace(t.slug, '-', '_'), true)
           || set_config('search_path', 'tenant_' || replace(t.slug, '-', '_') || ', pg_temp', true)
       END
FROM public.tenants AS t
WHERE t.id = $1;

-- name: tenant_by_name
SELECT * FROM public.tenants WHERE id = $1 OR slug = $2;

-- name: prices_of_tenant
SELECT json_agg(price)
FROM (
    SELECT id, tenant_id, resource, unit_price::text, currency, effective_from
    FROM public.prices
    WHERE tenant_id IS NULL OR tenant_id = $1
) AS price;

-- name: forget_memberships
-- A backend remembers one role's memberships. Where a role is granted while it reads them, it remembers the list
-- without that role until the next grant. Asked for another role's, it reads them again.
SELECT pg_has_role('platform_tenant', 'platform_app', 'SET');
