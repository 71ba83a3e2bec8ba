-- How long a tenant's data is kept, in days; a tenant without a row has the defaults of core/retention.py.

CREATE TABLE public.retention_policies (
    tenant_id          uuid PRIMARY KEY REFERENCES public.tenants (id),
    transactional_days integer NOT NULL,
    user_activity_days integer NOT NULL,
    files_days         integer NOT NULL,
    grace_days         integer NOT NULL,
    changed_at         timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON public.retention_policies TO platform_app;
