-- name: append_audit_entry
INSERT INTO public.audit_log
    (id, chain, occurred_at, actor_kind, actor_id, action, subject, outcome, request_id, address, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: audit_chain_size
SELECT size FROM public.audit_chains WHERE chain = $1;

-- name: erase_unsequenced_details
UPDATE public.audit_log
SET details = '{}', address = NULL, salt = NULL, erased_at = $3
WHERE chain = $1 AND sequence IS NULL AND erased_at IS NULL
  AND ($2::text IS NULL OR actor_id::text = $2 OR subject LIKE '%:' || $2 OR strpos(details, $2) > 0);

-- name: erase_sequenced_details
UPDATE public.audit_log
SET details = NULL, address = NULL, salt = NULL, erased_at = $3
WHERE chain = $1 AND sequence >= $4 AND sequence < $5 AND erased_at IS NULL
  AND ($2::text IS NULL OR actor_id::text = $2 OR subject LIKE '%:' || $2 OR strpos(details, $2) > 0);
