-- name: ledger_salt
-- The entries of a month share a salt, so that looking for many in a long ledger stays quick.
SELECT salt FROM public.deletion_ledger
WHERE erased_at >= date_trunc('month', $1::timestamptz, 'UTC')
ORDER BY erased_at DESC
LIMIT 1;

-- name: append_to_ledger
INSERT INTO public.deletion_ledger (id, kind, salt, digest, erased_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (salt, digest) DO NOTHING;

-- name: unmirrored_entries
SELECT id, kind, salt, digest, erased_at FROM public.deletion_ledger
WHERE mirrored_at IS NULL
ORDER BY erased_at
LIMIT 500;

-- name: mark_mirrored
UPDATE public.deletion_ledger SET mirrored_at = $2 WHERE id = $1;

-- name: bring_back_entry
INSERT INTO public.deletion_ledger (id, kind, salt, digest, erased_at, mirrored_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING;

-- name: is_in_ledger
SELECT EXISTS (
    SELECT FROM public.deletion_ledger WHERE kind = $1 AND digest = sha256(salt || convert_to($1 || ':' || $2, 'UTF8'))
);

-- name: deletion_ledger
SELECT id, kind, salt, digest, erased_at FROM public.deletion_ledger ORDER BY erased_at, id;
