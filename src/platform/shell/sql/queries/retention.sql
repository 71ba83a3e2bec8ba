-- Retention: by target, what is older than an instant ($1), at most $2 rows. Rows of people who are held ($3) or
-- restricted stay.

-- name: retention_policy
SELECT transactional_days, user_activity_days, files_days, grace_days, audit_details_days, deactivated_people_days,
    backups_days
FROM public.retention_policies WHERE tenant_id = $1;

-- name: set_retention_policy
INSERT INTO public.retention_policies
    (tenant_id, transactional_days, user_activity_days, files_days, grace_days, audit_details_days,
     deactivated_people_days, backups_days, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id) DO UPDATE
SET transactional_days = excluded.transactional_days, user_activity_days = excluded.user_activity_days,
    files_days = excluded.files_days, grace_days = excluded.grace_days,
    audit_details_days = excluded.audit_details_days,
    deactivated_people_days = excluded.deactivated_people_days, backups_days = excluded.backups_days,
    changed_at = excluded.changed_at;

-- name: tenants_to_retain
SELECT id FROM public.tenants AS t
WHERE state IN ('ACTIVE', 'SUSPENDED')
  AND NOT EXISTS (SELECT FROM public.jobs WHERE kind = $1 AND tenant_id = t.id AND created_at > $2)
ORDER BY created_at;

-- name: lock_retention
-- Alone, so that no usage from before a mark is being stored while the mark is set.
SELECT pg_advisory_xact_lock(hashtext('platform.retention'), hashtext($1));

-- name: share_retention
SELECT pg_advisory_xact_lock_shared(hashtext('platform.retention'), hashtext($1));

-- name: retention_marks
SELECT before, marked_at, deleted_at FROM retention_marks WHERE target = $1 ORDER BY before;

-- name: retention_horizon
SELECT max(before) FROM retention_marks WHERE target = $1;

-- name: has_batches_before
SELECT EXISTS (SELECT FROM usage_batches, unnest(quarter_hours) AS start WHERE start < $1);

-- name: set_retention_mark
INSERT INTO retention_marks (target, before, marked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: withdraw_retention_marks
DELETE FROM retention_marks WHERE target = $1 AND before = ANY ($2::timestamptz[]);

-- name: finish_retention_mark
-- Of the marks that are done the latest stays: it is the horizon.
WITH earlier AS (
    DELETE FROM retention_marks WHERE target = $1 AND before < $2
)
UPDATE retention_marks SET deleted_at = $3 WHERE target = $1 AND before = $2;

-- name: date_deactivations
-- The release before this one does not say when it deactivates; nor does a package that it made.
UPDATE users SET deactivated_at = $1 WHERE state = 'DEACTIVATED' AND deactivated_at IS NULL;

-- name: people_deactivated_before
SELECT id FROM users WHERE state = 'DEACTIVATED' AND deactivated_at < $1 AND NOT id = ANY ($2::uuid[])
ORDER BY deactivated_at;

-- name: restricted_people
SELECT id FROM users WHERE state = 'RESTRICTED';

-- name: count_aged_details
SELECT count(*) FROM public.audit_log
WHERE chain = $1 AND sequence IS NOT NULL AND occurred_at < $2 AND erased_at IS NULL
  AND NOT EXISTS (
      SELECT FROM unnest($3::text[]) AS kept
      WHERE actor_id::text = kept OR subject = 'user:' || kept OR strpos(details, kept) > 0
  );

-- name: erase_aged_details
-- From where the last batch ended ($4), entries of one instant again; those of people who are held or restricted stay.
WITH aged AS (
    SELECT id FROM public.audit_log
    WHERE chain = $1 AND sequence IS NOT NULL AND occurred_at < $2 AND occurred_at >= $4 AND erased_at IS NULL
      AND NOT EXISTS (
          SELECT FROM unnest($3::text[]) AS kept
          WHERE actor_id::text = kept OR subject = 'user:' || kept OR strpos(details, kept) > 0
      )
    ORDER BY occurred_at
    LIMIT $5
), erased AS (
    UPDATE public.audit_log AS a SET details = NULL, address = NULL, salt = NULL, erased_at = $6
    FROM aged WHERE a.id = aged.id
    RETURNING a.occurred_at
)
SELECT count(*) AS erased, max(occurred_at) AS until FROM erased;

-- name: count_usage_events
SELECT count(*) FROM usage_events WHERE occurred_at < $1 AND $2::uuid[] IS NOT NULL;

-- name: delete_usage_events
WITH due AS (
    SELECT source, id FROM usage_events
    WHERE occurred_at < $1 AND $3::uuid[] IS NOT NULL
    ORDER BY occurred_at
    LIMIT $2
), spent AS (
    INSERT INTO spent_keys (key)
    SELECT encode(substr(sha256(convert_to(source || E'\n' || id, 'UTF8')), 1, 16), 'hex')::uuid FROM due
    ON CONFLICT DO NOTHING
)
DELETE FROM usage_events AS e USING due WHERE e.source = due.source AND e.id = due.id;

-- name: count_anomalies
SELECT count(*) FROM anomalies
WHERE detected_at < $1
  AND (acknowledged_by IS NULL OR acknowledged_by NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($2::uuid[])));

-- name: delete_anomalies
DELETE FROM anomalies WHERE id IN (
    SELECT id FROM anomalies
    WHERE detected_at < $1
      AND (acknowledged_by IS NULL OR acknowledged_by NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($3::uuid[])))
    LIMIT $2
);

-- name: count_usage_imports
SELECT count(*) FROM usage_imports WHERE updated_at < $1 AND $2::uuid[] IS NOT NULL;

-- name: delete_usage_imports
DELETE FROM usage_imports WHERE id IN (SELECT id FROM usage_imports WHERE updated_at < $1 AND $3::uuid[] IS NOT NULL LIMIT $2);

-- name: count_sessions
SELECT count(*) FROM sessions
WHERE last_used_at < $1
  AND user_id NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($2::uuid[]));

-- name: delete_sessions
WITH gone AS (
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions
        WHERE last_used_at < $1
          AND user_id NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($3::uuid[]))
        LIMIT $2
    )
    RETURNING id
), tokens AS (
    DELETE FROM refresh_tokens WHERE family_id IN (SELECT id FROM gone)
)
SELECT id FROM gone;

-- name: count_password_resets
SELECT count(*) FROM password_resets
WHERE expires_at < $1
  AND user_id NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($2::uuid[]));

-- name: delete_password_resets
DELETE FROM password_resets WHERE token_hash IN (
    SELECT token_hash FROM password_resets
    WHERE expires_at < $1
      AND user_id NOT IN (SELECT id FROM users WHERE state = 'RESTRICTED' OR id = ANY ($3::uuid[]))
    LIMIT $2
);

-- name: count_invitations
SELECT count(*) FROM invitations
WHERE coalesce(accepted_at, revoked_at, expires_at) < $1
  AND email NOT IN (SELECT email FROM users WHERE state = 'RESTRICTED' OR id = ANY ($2::uuid[]));

-- name: delete_invitations
DELETE FROM invitations WHERE id IN (
    SELECT id FROM invitations
    WHERE coalesce(accepted_at, revoked_at, expires_at) < $1
      AND email NOT IN (SELECT email FROM users WHERE state = 'RESTRICTED' OR id = ANY ($3::uuid[]))
    LIMIT $2
);
