-- Accounts and refresh tokens: `users` is the tenant's in a tenant session, the platform's own in a platform session.

-- name: user_by_email
SELECT id, email, full_name, password_hash, role FROM users WHERE email = $1;

-- name: user_by_id
SELECT id, email, full_name, role FROM users WHERE id = $1;

-- name: renew_password_hash
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: insert_refresh_token
INSERT INTO refresh_tokens (token_hash, family_id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5);

-- name: use_refresh_token
-- One atomic step: of any number of simultaneous uses, one wins.
UPDATE refresh_tokens SET used_at = $2
WHERE token_hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2
RETURNING family_id, user_id;

-- name: refresh_token_family
SELECT family_id, user_id FROM refresh_tokens WHERE token_hash = $1;

-- name: revoke_family
UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL;

-- name: insert_user
INSERT INTO users (id, email, full_name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email) DO NOTHING
RETURNING id;
