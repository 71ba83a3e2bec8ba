-- name: insert_case
INSERT INTO public.register_cases
    (id, kind, tenant_id, summary, began_at, due_at, state, created_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
RETURNING *;

-- name: lock_case
SELECT * FROM public.register_cases WHERE id = $1 FOR UPDATE;

-- name: case_by_id
SELECT * FROM public.register_cases WHERE id = $1;

-- name: move_case
UPDATE public.register_cases SET state = $2, reason = $3, due_at = $4, changed_at = $5, reminded_at = NULL
WHERE id = $1
RETURNING *;

-- name: case_page
SELECT * FROM public.register_cases
WHERE ($1::text IS NULL OR kind = $1) AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
ORDER BY created_at, id
LIMIT $4;

-- name: case_to_remind
-- One that is still open and whose time is nearly over; the row stays locked until that is noted.
SELECT * FROM public.register_cases
WHERE state = ANY ($1::text[]) AND reminded_at IS NULL
  AND due_at <= CASE kind WHEN 'BREACH' THEN $2::timestamptz ELSE $3::timestamptz END
  AND id <> ALL ($4::uuid[])
ORDER BY due_at
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: note_reminder
UPDATE public.register_cases SET reminded_at = $2 WHERE id = $1;
