-- The rights of one person inside a tenant; which rows and columns is said by core/classification.py.


-- name: lock_person
-- No session or token of the person is added from now on; those being added are waited for.
SELECT id FROM users WHERE id = $1 FOR UPDATE;

-- name: lock_deactivated
SELECT id FROM users WHERE id = $1 AND state = 'DEACTIVATED' AND deactivated_at < $2 FOR UPDATE;

-- name: forget_requests_of
-- What the person sent with an Idempotency-Key: the callers' names end with the account's id.
DELETE FROM public.idempotency_keys WHERE caller LIKE '%:' || $1::text;

-- name: erase_person
-- Everything that the classification deletes or clears with a person, in one statement; ids that stay elsewhere
-- lead to nobody from now on.
WITH person AS (
    SELECT id, email FROM users WHERE id = $1
), tokens AS (
    DELETE FROM refresh_tokens WHERE user_id = $1
), logins AS (
    DELETE FROM sessions WHERE user_id = $1
), codes AS (
    DELETE FROM recovery_codes WHERE user_id = $1
), resets AS (
    DELETE FROM password_resets WHERE user_id = $1
), invited AS (
    DELETE FROM invitations WHERE email = (SELECT email FROM person)
), revoked AS (
    UPDATE invitations SET revoked_at = $2
    WHERE invited_by = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND email <> (SELECT email FROM person)
), notes AS (
    UPDATE anomalies SET note = NULL WHERE acknowledged_by = $1
)
DELETE FROM users WHERE id = $1 RETURNING id;

-- name: rectify_person
UPDATE users SET full_name = $2, email = $3 WHERE id = $1;

-- name: end_resets_of
DELETE FROM password_resets WHERE user_id = $1;

-- name: restrict_person
UPDATE users SET state = 'RESTRICTED', restricted_from = state, restricted_at = $2, restriction_reason = $3
WHERE id = $1;

-- name: lift_restriction
UPDATE users SET state = restricted_from, restricted_from = NULL, restricted_at = NULL, restriction_reason = NULL
WHERE id = $1;

-- name: held_of_person
-- One row for each row that speaks of a person (id, e-mail address); `held_by_person` takes away what is secret.
SELECT 'users' AS held, to_jsonb(t) AS row FROM users AS t WHERE id = $1
UNION ALL
SELECT 'sessions', to_jsonb(t) FROM sessions AS t WHERE user_id = $1
UNION ALL
SELECT 'refresh_tokens', to_jsonb(t) - '{token_hash}'::text[] FROM refresh_tokens AS t WHERE user_id = $1
UNION ALL
SELECT 'recovery_codes', to_jsonb(t) - '{code_hash}'::text[] FROM recovery_codes AS t WHERE user_id = $1
UNION ALL
SELECT 'password_resets', to_jsonb(t) - '{token_hash}'::text[] FROM password_resets AS t WHERE user_id = $1
UNION ALL
SELECT 'invitations', to_jsonb(t) - '{token_hash}'::text[] FROM invitations AS t WHERE email = $2 OR invited_by = $1
UNION ALL
SELECT 'anomalies', to_jsonb(t) FROM anomalies AS t WHERE acknowledged_by = $1;

-- name: keys_made_by_person
SELECT 'api_keys' AS held, to_jsonb(t) - '{key_hmac}'::text[] AS row
FROM public.api_keys AS t
WHERE tenant_id = $1 AND created_by = $2;

-- name: entries_of_person
SELECT 'audit_log' AS held, jsonb_build_object(
    'id', id, 'occurred_at', occurred_at, 'actor_kind', actor_kind, 'actor_id', actor_id, 'action', action,
    'subject', subject, 'outcome', outcome, 'request_id', request_id, 'address', address, 'details', details
) AS row
FROM public.audit_log
WHERE chain = $1 AND (actor_id = $2 OR subject = 'user:' || $2::text)
ORDER BY occurred_at DESC
LIMIT $3;
