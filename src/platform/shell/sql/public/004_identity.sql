-- Second factors, sessions, resets and API keys; the platform's own accounts have the tenants' tables.

ALTER TABLE public.users ADD COLUMN state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'DEACTIVATED'));

ALTER TABLE public.users ADD COLUMN totp_secret bytea;

ALTER TABLE public.users ADD COLUMN totp_confirmed_at timestamptz;

ALTER TABLE public.users ADD COLUMN totp_last_step bigint;

-- A session is what one login began: the family of its refresh tokens.
CREATE TABLE public.sessions (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES public.users (id),
    device           text NOT NULL,
    address          text,
    created_at       timestamptz NOT NULL,
    last_used_at     timestamptz NOT NULL,
    second_factor_at timestamptz,
    revoked_at       timestamptz
);

CREATE INDEX sessions_by_user ON public.sessions (user_id, created_at, id);

CREATE TABLE public.recovery_codes (
    user_id   uuid NOT NULL REFERENCES public.users (id),
    code_hash bytea NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE public.password_resets (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES public.users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

-- A key's text does not name its tenant, so keys are found here; only their HMAC is kept.
CREATE TABLE public.api_keys (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES public.tenants (id),
    name         text NOT NULL,
    key_hmac     bytea NOT NULL UNIQUE,
    hint         text NOT NULL,
    scopes       text[] NOT NULL,
    networks     text[] NOT NULL,
    created_by   uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);

CREATE INDEX api_keys_by_tenant ON public.api_keys (tenant_id, created_at, id);

GRANT SELECT, INSERT, UPDATE, DELETE ON public.sessions TO platform_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.recovery_codes TO platform_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.password_resets TO platform_app;

GRANT SELECT, INSERT, UPDATE ON public.api_keys TO platform_app;
