-- name: insert_api_key
INSERT INTO public.api_keys
    (id, tenant_id, name, key_hmac, hint, scopes, networks, created_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING *;

-- name: use_api_key
-- A key that has ended is found, too, and keeps the time of its last use. The first form is the one to keep.
UPDATE public.api_keys AS k
SET key_hmac = ($1::bytea[])[1],
    last_used_at = CASE
        WHEN k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2) THEN $2 ELSE k.last_used_at
    END
FROM public.tenants AS t
WHERE k.key_hmac = ANY ($1::bytea[]) AND t.id = k.tenant_id
RETURNING k.*, t.slug AS tenant_slug, t.tier AS tenant_tier;

-- name: list_api_keys
SELECT * FROM public.api_keys
WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
ORDER BY created_at, id
LIMIT $4;

-- name: api_key_by_id
SELECT * FROM public.api_keys WHERE id = $1 AND tenant_id = $2;

-- name: revoke_api_key
UPDATE public.api_keys
SET revoked_at = coalesce(revoked_at, $3)
WHERE id = $1 AND tenant_id = $2
RETURNING *;
