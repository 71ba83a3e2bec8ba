-- Which tenants have sent usage that no job was queued for yet: one row a batch, so that batches never wait for
-- each other. Tenants' sessions have no rights here; a row is written before the tenant's role is taken.

CREATE TABLE public.usage_marks (
    tenant_id uuid NOT NULL,
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

GRANT SELECT, INSERT, DELETE ON public.usage_marks TO platform_app;
