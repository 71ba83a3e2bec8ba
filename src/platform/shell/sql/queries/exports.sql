-- An export is as far as its job is; the job is forgotten before the export is.

-- name: insert_export
INSERT INTO public.exports (id, tenant_id, format, requested_by, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING;

-- name: export
SELECT e.*, j.state AS job_state, j.progress, j.error
FROM public.exports AS e
LEFT JOIN public.jobs AS j ON j.id = e.id
WHERE e.id = $1;

-- name: exports_page
SELECT e.*, j.state AS job_state, j.progress, j.error
FROM public.exports AS e
LEFT JOIN public.jobs AS j ON j.id = e.id
WHERE e.tenant_id = $1 AND ($2::timestamptz IS NULL OR (e.created_at, e.id) > ($2, $3::uuid))
ORDER BY e.created_at, e.id
LIMIT $4;

-- name: open_exports
-- Packages that are kept, or will be.
SELECT count(*)
FROM public.exports AS e
WHERE e.tenant_id = $1 AND e.id <> $2 AND e.deleted_at IS NULL
  AND (e.finished_at IS NOT NULL OR EXISTS (SELECT FROM public.jobs AS j WHERE j.id = e.id AND j.state <> 'FAILED'));

-- name: finish_export
UPDATE public.exports
SET object_name = $2, size = $3, sha256 = $4, rows = $5, finished_at = $6, expires_at = $7
WHERE id = $1 AND finished_at IS NULL
RETURNING id;

-- name: expired_exports
SELECT id, tenant_id, object_name
FROM public.exports
WHERE finished_at IS NOT NULL AND deleted_at IS NULL AND expires_at <= $1
ORDER BY expires_at
LIMIT $2;

-- name: exports_kept_of_tenant
SELECT id, tenant_id, object_name
FROM public.exports
WHERE tenant_id = $1 AND finished_at IS NOT NULL AND deleted_at IS NULL;

-- name: mark_export_deleted
UPDATE public.exports SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id;

-- name: kept_objects
SELECT object_name FROM public.exports WHERE object_name = ANY ($1::text[]) AND deleted_at IS NULL;
