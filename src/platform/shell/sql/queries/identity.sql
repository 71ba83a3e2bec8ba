-- Accounts and refresh tokens: `users` is the tenant's in a tenant session, the platform's own in a platform session.

-- name: user_by_email
SELECT id, email, full_name, password_hash, role, state, totp_confirmed_at FROM users WHERE email = $1;

-- name: user_by_id
SELECT id, email, full_name, role, state, totp_confirmed_at FROM users WHERE id = $1;

-- name: still_credentials
-- Whether an account can still be logged in to with the password that was checked; it stays so until the end.
SELECT id FROM users WHERE id = $1 AND password_hash = $2 AND state = 'ACTIVE' FOR NO KEY UPDATE;

-- name: renew_password_hash
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: standing
-- Whether an account still is what its token says, and its session still open.
SELECT
    u.role,
    u.totp_confirmed_at IS NOT NULL AS has_second_factor,
    u.state = 'ACTIVE' AND s.id IS NOT NULL AND s.revoked_at IS NULL AS is_current
FROM users AS u
LEFT JOIN sessions AS s ON s.id = $2 AND s.user_id = u.id
WHERE u.id = $1;

-- name: insert_session
INSERT INTO sessions (id, user_id, device, address, created_at, last_used_at) VALUES ($1, $2, $3, $4, $5, $5);

-- name: insert_refresh_token
-- However often it is renewed, a session ends so long after its login.
WITH used AS (
    UPDATE sessions SET last_used_at = $4 WHERE id = $2
)
INSERT INTO refresh_tokens (token_hash, family_id, user_id, created_at, expires_at)
SELECT $1, $2, $3, $4, least($5::timestamptz, created_at + $6::interval) FROM sessions WHERE id = $2;

-- name: use_refresh_token
-- One atomic step: of any number of simultaneous uses, one wins. A token that was made while its session ended
-- is not revoked itself, so the session is asked, too.
UPDATE refresh_tokens SET used_at = $2
WHERE token_hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2
    AND EXISTS (SELECT FROM sessions WHERE id = refresh_tokens.family_id AND revoked_at IS NULL)
RETURNING family_id, user_id;

-- name: refresh_token_family
SELECT family_id, user_id, used_at IS NOT NULL OR revoked_at IS NOT NULL AS was_used
FROM refresh_tokens WHERE token_hash = $1;

-- name: revoke_family
-- Gives the session where this ended it: of several at once, one does. Tokens are locked before their session, as by
-- whoever uses one: hence the condition, which is always true.
WITH revoked AS (
    UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL RETURNING family_id
)
UPDATE sessions SET revoked_at = $2
WHERE id = $1 AND revoked_at IS NULL AND (SELECT count(*) FROM revoked) >= 0
RETURNING id;

-- name: insert_user
INSERT INTO users (id, email, full_name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email) DO NOTHING
RETURNING id;
