-- The erasure of tenants, what the law makes one keep of them, and the certificates about it.

CREATE TABLE public.erasures (
    tenant_id    uuid PRIMARY KEY REFERENCES public.tenants (id),
    state        text NOT NULL CHECK (state IN ('REQUESTED', 'CANCELLED', 'RUNNING', 'DONE')),
    requested_at timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    resumes_as   text NOT NULL CHECK (resumes_as IN ('ACTIVE', 'SUSPENDED', 'DEPROVISIONING', 'DELETED')),
    job_id       uuid,
    identifiers  bytea,
    ended_at     timestamptz
);

CREATE INDEX erasures_due ON public.erasures (due_at) WHERE state IN ('REQUESTED', 'RUNNING');

-- A step is recorded in the transaction that does it: it is done once, whatever crashes.
CREATE TABLE public.erasure_steps (
    tenant_id   uuid NOT NULL REFERENCES public.erasures (tenant_id),
    step        text NOT NULL,
    finished_at timestamptz NOT NULL,
    facts       text NOT NULL,
    PRIMARY KEY (tenant_id, step)
);

-- The archive itself lies in the object store, under a key of its own; without the key it says nothing.
CREATE TABLE public.legal_archives (
    tenant_id    uuid PRIMARY KEY REFERENCES public.tenants (id),
    object_name  text NOT NULL,
    wrapped_key  bytea,
    invoices     integer NOT NULL,
    country      text NOT NULL,
    legal_basis  text NOT NULL,
    keep_until   date NOT NULL,
    created_at   timestamptz NOT NULL,
    destroyed_at timestamptz
);

CREATE INDEX legal_archives_by_end ON public.legal_archives (keep_until) WHERE destroyed_at IS NULL;

CREATE TABLE public.erasure_certificates (
    tenant_id uuid NOT NULL REFERENCES public.tenants (id),
    issued_at timestamptz NOT NULL,
    statement text NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, issued_at)
);

-- Tenants that were closed before there was an erasure: they have the longest waiting period.
INSERT INTO public.erasures (tenant_id, state, requested_at, due_at, resumes_as)
SELECT id, 'REQUESTED', now(), now() + interval '30 days', 'DEPROVISIONING'
FROM public.tenants
WHERE state = 'DEPROVISIONING';

GRANT SELECT, INSERT, UPDATE ON public.erasures TO platform_app;

GRANT SELECT ON public.erasure_steps TO platform_app;

GRANT SELECT ON public.legal_archives TO platform_app;

GRANT SELECT ON public.erasure_certificates TO platform_app;
