-- name: claim_idempotency_key
-- A second request with the same key waits here until the first has committed.
INSERT INTO public.idempotency_keys (caller, key, request_hash, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (caller, key) DO NOTHING
RETURNING key;

-- name: idempotency_key
SELECT request_hash, result FROM public.idempotency_keys WHERE caller = $1 AND key = $2;

-- name: forget_idempotency_keys
DELETE FROM public.idempotency_keys WHERE created_at < $1;

-- name: keep_idempotent_result
UPDATE public.idempotency_keys SET result = $3 WHERE caller = $1 AND key = $2;
