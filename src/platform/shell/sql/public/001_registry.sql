-- What the platform knows of its tenants. Statements end with a semicolon at the end of a line.

CREATE TABLE public.tenants (
    id         uuid PRIMARY KEY,
    slug       text COLLATE "C" NOT NULL UNIQUE,
    name       text NOT NULL,
    state      text NOT NULL CHECK (state IN ('PENDING', 'PROVISIONING', 'ACTIVE', 'SUSPENDED', 'DEPROVISIONING', 'DELETED')),
    country    text NOT NULL,
    vat_id     text,
    time_zone  text NOT NULL,
    currency   text NOT NULL DEFAULT 'EUR',
    created_at timestamptz NOT NULL
);

CREATE INDEX tenants_by_age ON public.tenants (created_at, id);

-- The first OWNER of a tenant whose schema does not exist yet; provisioning moves the row there.
CREATE TABLE public.founders (
    tenant_id     uuid PRIMARY KEY REFERENCES public.tenants (id),
    user_id       uuid NOT NULL,
    email         text NOT NULL,
    full_name     text NOT NULL,
    password_hash text NOT NULL
);

-- The platform's own accounts and their refresh tokens, in the shape that every tenant's have.
CREATE TABLE public.users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    full_name     text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('OPERATOR', 'AUDITOR')),
    created_at    timestamptz NOT NULL
);

CREATE TABLE public.refresh_tokens (
    token_hash bytea PRIMARY KEY,
    family_id  uuid NOT NULL,
    user_id    uuid NOT NULL REFERENCES public.users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);

CREATE INDEX refresh_tokens_by_family ON public.refresh_tokens (family_id);

-- Price versions; tenant_id is null for the default that all tenants share.
CREATE TABLE public.prices (
    id             uuid PRIMARY KEY,
    tenant_id      uuid REFERENCES public.tenants (id),
    resource       text NOT NULL,
    unit_price     numeric NOT NULL CHECK (unit_price >= 0 AND unit_price < 1e6),
    currency       text NOT NULL DEFAULT 'EUR',
    effective_from date NOT NULL,
    created_at     timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, resource, effective_from)
);

INSERT INTO public.prices (id, tenant_id, resource, unit_price, effective_from, created_at) VALUES
    ('019a0000-0000-7000-8000-000000000001', NULL, 'cpu',       0.02,   '1972-01-01', '2026-01-01T00:00:00Z'),
    ('019a0000-0000-7000-8000-000000000002', NULL, 'memory',    0.005,  '1972-01-01', '2026-01-01T00:00:00Z'),
    ('019a0000-0000-7000-8000-000000000003', NULL, 'storage',   0.01,   '1972-01-01', '2026-01-01T00:00:00Z'),
    ('019a0000-0000-7000-8000-000000000004', NULL, 'network',   0.001,  '1972-01-01', '2026-01-01T00:00:00Z'),
    ('019a0000-0000-7000-8000-000000000005', NULL, 'api_calls', 0.0001, '1972-01-01', '2026-01-01T00:00:00Z');

-- What the first POST with an Idempotency-Key made, so that a repeated one makes nothing.
CREATE TABLE public.idempotency_keys (
    caller       text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    result       text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);

GRANT SELECT, INSERT, UPDATE ON public.tenants TO platform_app;

GRANT SELECT, INSERT, DELETE ON public.founders TO platform_app;

GRANT SELECT, INSERT, UPDATE ON public.users TO platform_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.refresh_tokens TO platform_app;

GRANT SELECT, INSERT ON public.prices TO platform_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.idempotency_keys TO platform_app;
