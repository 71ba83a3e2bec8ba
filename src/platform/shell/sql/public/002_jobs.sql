-- The truth about jobs; Redis only announces them.

CREATE TABLE public.jobs (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL,
    tenant_id   uuid REFERENCES public.tenants (id),
    dedupe_key  text NOT NULL,
    args        jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED')),
    step        text,
    progress    double precision NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    error       text,
    request_id  text,
    not_before  timestamptz NOT NULL,
    leased_by   text,
    leased_to   timestamptz,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz
);

-- Asking twice for the same unfinished work gives the same job.
CREATE UNIQUE INDEX jobs_open ON public.jobs (kind, dedupe_key) WHERE state IN ('QUEUED', 'RUNNING');

CREATE INDEX jobs_due ON public.jobs (not_before) WHERE state IN ('QUEUED', 'RUNNING');

CREATE INDEX jobs_by_tenant ON public.jobs (tenant_id, created_at, id);

CREATE INDEX jobs_finished ON public.jobs (finished_at) WHERE finished_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.jobs TO platform_app;
