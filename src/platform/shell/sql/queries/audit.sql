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

-- name: lock_sequencer
SELECT pg_try_advisory_xact_lock(hashtext('platform.audit_sequencer'));

-- name: unsequenced_entries
SELECT id, chain, occurred_at, actor_kind, actor_id, action, subject, outcome, request_id, address, details
FROM public.audit_log
WHERE sequence IS NULL AND chain <> ALL ($2::text[])
ORDER BY occurred_at, id
LIMIT $1
FOR UPDATE;

-- name: audit_heads
SELECT chain, size, head, frontier FROM public.audit_chains WHERE chain = ANY ($1::text[]);

-- name: place_entries
UPDATE public.audit_log AS a
SET sequence = p.sequence, salt = p.salt, canonical = p.canonical, leaf_hash = p.leaf_hash, entry_hash = p.entry_hash
FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[])
    AS p (id, sequence, salt, canonical, leaf_hash, entry_hash)
WHERE a.id = p.id;

-- name: move_audit_heads
INSERT INTO public.audit_chains (chain, size, head, frontier)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[])
ON CONFLICT (chain) DO UPDATE SET size = EXCLUDED.size, head = EXCLUDED.head, frontier = EXCLUDED.frontier;

-- name: keep_audit_nodes
INSERT INTO public.audit_nodes (chain, level, position, hash)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[]);

-- name: grown_chains
SELECT c.chain, c.size, c.frontier
FROM public.audit_chains AS c
WHERE NOT EXISTS (SELECT FROM public.audit_checkpoints AS k WHERE k.chain = c.chain AND k.size = c.size)
ORDER BY c.chain
LIMIT $1;

-- name: keep_checkpoints
INSERT INTO public.audit_checkpoints (chain, size, note, created_at)
SELECT p.chain, p.size, p.note, $4
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS p (chain, size, note);

-- name: keep_audit_key
INSERT INTO public.audit_keys (public_key, first_used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: unsequenced
SELECT count(*), min(occurred_at) AS oldest FROM public.audit_log WHERE sequence IS NULL;

-- name: latest_checkpoints
SELECT k.note
FROM public.audit_chains AS c
JOIN LATERAL (
    SELECT note FROM public.audit_checkpoints WHERE chain = c.chain ORDER BY size DESC LIMIT 1
) AS k ON true;

-- name: await_sequencer
SELECT pg_advisory_xact_lock(hashtext('platform.audit_sequencer'));

-- name: audit_page
SELECT canonical, leaf_hash, entry_hash, address, details, erased_at
FROM public.audit_log
WHERE chain = $1 AND sequence IS NOT NULL
  AND ($2::text IS NULL OR action = $2)
  AND ($3::text IS NULL OR subject = $3)
  AND ($4::uuid IS NULL OR actor_id = $4)
  AND ($5::text IS NULL OR outcome = $5)
  AND ($6::timestamptz IS NULL OR occurred_at >= $6)
  AND ($7::timestamptz IS NULL OR occurred_at < $7)
  AND ($8::bigint IS NULL OR sequence < $8)
ORDER BY sequence DESC
LIMIT $9;

-- name: latest_checkpoint
SELECT size, note FROM public.audit_checkpoints WHERE chain = $1 ORDER BY size DESC LIMIT 1;

-- name: checkpoint_of_size
SELECT note FROM public.audit_checkpoints WHERE chain = $1 AND size = $2;

-- name: audit_leaves
SELECT sequence, leaf_hash FROM public.audit_log WHERE chain = $1 AND sequence = ANY ($2::bigint[]);

-- name: audit_nodes
SELECT n.level, n.position, n.hash
FROM public.audit_nodes AS n
JOIN unnest($2::integer[], $3::bigint[]) AS w (level, position) USING (level, position)
WHERE n.chain = $1;

-- name: place_of_entry
SELECT chain, sequence FROM public.audit_log WHERE id = $1 AND sequence IS NOT NULL;

-- name: export_entries
SELECT a.canonical, a.entry_hash, a.salt, a.address, a.details, k.note
FROM public.audit_log AS a
LEFT JOIN public.audit_checkpoints AS k ON k.chain = a.chain AND k.size = a.sequence + 1 AND k.size < $4
WHERE a.chain = $1 AND a.sequence >= $2 AND a.sequence < $3
ORDER BY a.sequence;

-- name: audit_public_keys
SELECT public_key FROM public.audit_keys ORDER BY first_used_at DESC;

-- name: chain_of_slug
SELECT id::text FROM public.tenants WHERE slug = $1;
