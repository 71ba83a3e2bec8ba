-- name: insert_job
INSERT INTO public.jobs
    (id, kind, tenant_id, dedupe_key, args, state, request_id, not_before, created_at, traceparent)
VALUES ($1, $2, $3, $4, $5, 'QUEUED', $6, $8, $7, $9)
ON CONFLICT (kind, dedupe_key) WHERE state IN ('QUEUED', 'RUNNING') DO NOTHING
RETURNING *;

-- name: open_job
SELECT * FROM public.jobs WHERE kind = $1 AND dedupe_key = $2 AND state IN ('QUEUED', 'RUNNING');

-- name: job
SELECT * FROM public.jobs WHERE id = $1;

-- name: take_job
-- A job is taken when it is due, or when the worker that held it has let its lease run out. One that somebody
-- writes at this moment is passed over, so that no worker waits: if it stays due, it is announced again.
UPDATE public.jobs
SET state = 'RUNNING', attempts = attempts + 1, leased_by = $2, leased_to = $3, error = NULL
WHERE id = (
    SELECT id FROM public.jobs
    WHERE id = $1
      AND ((state = 'QUEUED' AND not_before <= $4) OR (state = 'RUNNING' AND leased_to < $4))
    FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: renew_lease
UPDATE public.jobs SET leased_to = $3 WHERE id = $1 AND leased_by = $2 AND state = 'RUNNING';

-- name: report_progress
UPDATE public.jobs SET step = $3, progress = $4 WHERE id = $1 AND leased_by = $2 AND state = 'RUNNING';

-- name: finish_job
UPDATE public.jobs
SET state = 'DONE', progress = 1, leased_by = NULL, leased_to = NULL, finished_at = $3,
    args = CASE WHEN kind = ANY($4::text[]) THEN '{}' ELSE args END
WHERE id = $1 AND leased_by = $2 AND state = 'RUNNING';

-- name: retry_job
UPDATE public.jobs
SET state = 'QUEUED', error = $3, not_before = $4, leased_by = NULL, leased_to = NULL
WHERE id = $1 AND leased_by = $2 AND state = 'RUNNING';

-- name: fail_job
UPDATE public.jobs
SET state = 'FAILED', error = $3, finished_at = $4, leased_by = NULL, leased_to = NULL,
    args = CASE WHEN kind = ANY($5::text[]) THEN '{}' ELSE args END
WHERE id = $1 AND leased_by = $2 AND state = 'RUNNING';

-- name: give_back_jobs
UPDATE public.jobs
SET state = 'QUEUED', attempts = attempts - 1, leased_by = NULL, leased_to = NULL
WHERE leased_by = $1 AND state = 'RUNNING'
RETURNING id;

-- name: hasten_job
UPDATE public.jobs SET not_before = $2 WHERE id = $1 AND state = 'QUEUED';

-- name: forget_finished_jobs
DELETE FROM public.jobs WHERE finished_at < $1;

-- name: lease_holders
SELECT DISTINCT leased_by FROM public.jobs WHERE state = 'RUNNING' AND leased_by IS NOT NULL;

-- name: end_leases
UPDATE public.jobs SET leased_to = $2 WHERE leased_by = ANY ($1::text[]) AND state = 'RUNNING';

-- name: due_jobs
SELECT id
FROM public.jobs
WHERE (state = 'QUEUED' AND not_before <= $1) OR (state = 'RUNNING' AND leased_to < $1)
ORDER BY not_before
LIMIT $2;

-- name: open_jobs
SELECT kind, state, count(*),
    min(CASE state WHEN 'QUEUED' THEN not_before ELSE leased_to END) FILTER (
        WHERE CASE state WHEN 'QUEUED' THEN not_before ELSE leased_to END <= $1
    ) AS overdue_since
FROM public.jobs
WHERE state IN ('QUEUED', 'RUNNING')
GROUP BY kind, state;

-- name: count_usage_marks
SELECT count(*) FROM public.usage_marks;

-- name: queue_closings
-- A mark stays where a job for its tenant is open: that one may have looked before the usage was there.
WITH taken AS (
    DELETE FROM public.usage_marks AS mark
    WHERE NOT EXISTS (
        SELECT FROM public.jobs
        WHERE kind = 'close_days' AND dedupe_key = mark.tenant_id::text AND state IN ('QUEUED', 'RUNNING')
    )
    RETURNING tenant_id
)
INSERT INTO public.jobs (id, kind, tenant_id, dedupe_key, state, not_before, created_at)
SELECT gen_random_uuid(), 'close_days', id, id::text, 'QUEUED', $1, $1
FROM public.tenants
WHERE id IN (SELECT tenant_id FROM taken) AND state IN ('ACTIVE', 'SUSPENDED')
ON CONFLICT (kind, dedupe_key) WHERE state IN ('QUEUED', 'RUNNING') DO NOTHING
RETURNING id;
