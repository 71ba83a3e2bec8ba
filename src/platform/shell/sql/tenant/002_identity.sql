-- Second factors, sessions, resets and invitations of a tenant's people.

ALTER TABLE users ADD COLUMN state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'DEACTIVATED'));

ALTER TABLE users ADD COLUMN totp_secret bytea;

ALTER TABLE users ADD COLUMN totp_confirmed_at timestamptz;

ALTER TABLE users ADD COLUMN totp_last_step bigint;

-- A session is what one login began: the family of its refresh tokens.
CREATE TABLE sessions (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES users (id),
    device           text NOT NULL,
    address          text,
    created_at       timestamptz NOT NULL,
    last_used_at     timestamptz NOT NULL,
    second_factor_at timestamptz,
    revoked_at       timestamptz
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);

CREATE TABLE recovery_codes (
    user_id   uuid NOT NULL REFERENCES users (id),
    code_hash bytea NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE password_resets (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

-- A repeated request finds its invitation by the inviter's own idempotency key.
CREATE TABLE invitations (
    id              uuid PRIMARY KEY,
    email           text NOT NULL,
    role            text NOT NULL CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER')),
    token_hash      bytea NOT NULL UNIQUE,
    invited_by      uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    accepted_at     timestamptz,
    revoked_at      timestamptz,
    idempotency_key text,
    UNIQUE (invited_by, idempotency_key)
);

CREATE INDEX invitations_by_age ON invitations (created_at, id);
