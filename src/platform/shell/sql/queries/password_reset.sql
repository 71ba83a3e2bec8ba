-- Passwords and their resets; the tables are the tenant's in a tenant session, else the platform's own.

-- name: set_password
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: insert_password_reset
-- An account has one token at a time.
WITH superseded AS (
    DELETE FROM password_resets WHERE user_id = $2
)
INSERT INTO password_resets (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4);

-- name: password_reset
SELECT r.user_id
FROM password_resets AS r
JOIN users AS u ON u.id = r.user_id
WHERE r.token_hash = $1 AND r.used_at IS NULL AND r.expires_at > $2 AND u.state = 'ACTIVE';

-- name: use_password_reset
-- One atomic step: of any number of simultaneous uses, one wins.
UPDATE password_resets SET used_at = $2
WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
RETURNING user_id;

-- name: void_password_resets
DELETE FROM password_resets WHERE user_id = $1;
