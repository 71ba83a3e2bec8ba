-- Second factors; `users`, `sessions` and `recovery_codes` are the tenant's in a tenant session, else the platform's own.

-- name: second_factor
SELECT totp_secret, totp_confirmed_at FROM users WHERE id = $1;

-- name: enrol_second_factor
-- A confirmed factor stays: it must be disabled with a code first.
UPDATE users SET totp_secret = $2, totp_last_step = NULL
WHERE id = $1 AND totp_confirmed_at IS NULL
RETURNING id;

-- name: confirm_second_factor
UPDATE users SET totp_confirmed_at = $4, totp_last_step = $3
WHERE id = $1 AND totp_secret = $2 AND totp_confirmed_at IS NULL
RETURNING id;

-- name: use_totp_step
-- One atomic step: of any number of simultaneous uses of a code, one wins.
UPDATE users SET totp_last_step = $3
WHERE id = $1 AND totp_secret = $2 AND totp_confirmed_at IS NOT NULL
  AND (totp_last_step IS NULL OR totp_last_step < $3)
RETURNING id;

-- name: disable_second_factor
WITH forgotten AS (
    DELETE FROM recovery_codes WHERE user_id = $1
)
UPDATE users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = NULL WHERE id = $1;

-- name: insert_recovery_codes
INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[]);

-- name: use_recovery_code
UPDATE recovery_codes SET used_at = $3
WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL
RETURNING user_id;

-- name: mark_session_stepped_up
UPDATE sessions SET second_factor_at = $2 WHERE id = $1;

-- name: session_second_factor_at
SELECT second_factor_at FROM sessions WHERE id = $1;

-- name: end_other_sessions
-- Ends every session of an account but one; all of them where the one is NULL.
WITH ended AS (
    UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL
)
UPDATE refresh_tokens SET revoked_at = $3
WHERE user_id = $1 AND family_id IS DISTINCT FROM $2 AND revoked_at IS NULL;

-- name: lock_second_factors
SELECT id, totp_secret AS sealed FROM users WHERE totp_secret IS NOT NULL ORDER BY id FOR UPDATE;

-- name: reseal_second_factors
UPDATE users AS u SET totp_secret = anew.sealed
FROM unnest($1::uuid[], $2::bytea[]) AS anew (id, sealed)
WHERE u.id = anew.id;
