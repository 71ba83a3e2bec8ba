-- name: hold_still
-- No hold is placed on the tenant until the transaction ends: placing one locks its row.
SELECT id FROM public.tenants WHERE id = $1 FOR SHARE;

-- name: standing_holds
SELECT * FROM public.legal_holds WHERE tenant_id = $1 AND lifted_at IS NULL ORDER BY placed_at, id;

-- name: insert_hold
INSERT INTO public.legal_holds (id, tenant_id, user_id, reason, placed_by, placed_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: legal_hold
SELECT * FROM public.legal_holds WHERE id = $1 AND tenant_id = $2;

-- name: lift_hold
UPDATE public.legal_holds SET lifted_by = $3, lifted_at = $4, lift_reason = $5
WHERE id = $1 AND tenant_id = $2 AND lifted_at IS NULL
RETURNING *;

-- name: hold_page
SELECT * FROM public.legal_holds
WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR (placed_at, id) > ($2, $3))
ORDER BY placed_at, id
LIMIT $4;
