-- A tenant's people: accounts, their sessions, and invitations.

-- name: user_page
SELECT id, email, full_name, role, state, totp_confirmed_at, created_at FROM users
WHERE $1::timestamptz IS NULL OR (created_at, id) > ($1, $2)
ORDER BY created_at, id
LIMIT $3;

-- name: user_in_list
SELECT id, email, full_name, role, state, totp_confirmed_at, created_at FROM users WHERE id = $1;

-- name: lock_to_decide
-- All who matter to a change of one account: it, who changes it, and every active owner. The rows stay as they
-- are until the change is committed, so that of two owners who demote each other one is refused.
SELECT id, email, full_name, role, state, totp_confirmed_at, created_at FROM users
WHERE id = $1 OR id = $2 OR (role = 'OWNER' AND state = 'ACTIVE')
ORDER BY id
FOR NO KEY UPDATE;

-- name: hold_role
-- The role of who invites stays as it is until the invitation is committed.
SELECT role, state FROM users WHERE id = $1 FOR SHARE;

-- name: update_user
UPDATE users SET full_name = $3, role = $2, state = $4,
    deactivated_at = CASE
        WHEN $4 <> 'DEACTIVATED' THEN NULL
        WHEN state = 'DEACTIVATED' THEN deactivated_at
        ELSE $5::timestamptz
    END
WHERE id = $1;

-- name: open_sessions
SELECT id, device, address, created_at, last_used_at FROM sessions
WHERE user_id = $1 AND revoked_at IS NULL AND last_used_at > $2
    AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4))
ORDER BY created_at, id
LIMIT $5;

-- name: open_session
SELECT id FROM sessions WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL;

-- name: insert_invitation
INSERT INTO invitations (id, email, role, token_hash, invited_by, created_at, expires_at, idempotency_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (invited_by, idempotency_key) DO NOTHING
RETURNING id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at;

-- name: invitation_by_key
SELECT id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at FROM invitations
WHERE invited_by = $1 AND idempotency_key = $2;

-- name: invitation_page
SELECT id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at FROM invitations
WHERE ($1::timestamptz IS NULL OR (created_at, id) > ($1, $2))
  AND coalesce(accepted_at, revoked_at, expires_at)
      >= coalesce((SELECT max(before) FROM retention_marks WHERE target = 'invitations'), '-infinity')
ORDER BY created_at, id
LIMIT $3;

-- name: lock_invitation
SELECT id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at FROM invitations
WHERE id = $1
FOR UPDATE;

-- name: revoke_invitation
UPDATE invitations SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL;

-- name: revoke_invitations_by
UPDATE invitations SET revoked_at = $2
WHERE invited_by = $1 AND role = ANY($3::text[]) AND accepted_at IS NULL AND revoked_at IS NULL;

-- name: open_invitation
SELECT id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at FROM invitations
WHERE token_hash = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2;

-- name: accept_invitation
-- One atomic step: of any number of simultaneous acceptances, one wins.
UPDATE invitations SET accepted_at = $2
WHERE token_hash = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2
RETURNING id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at;
