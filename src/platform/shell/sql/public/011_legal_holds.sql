-- What must not be erased, although it could be: evidence in a dispute, or what an authority asked to be kept.

CREATE TABLE public.legal_holds (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES public.tenants (id),
    user_id     uuid,
    reason      text NOT NULL,
    placed_by   uuid NOT NULL,
    placed_at   timestamptz NOT NULL,
    lifted_by   uuid,
    lifted_at   timestamptz,
    lift_reason text,
    CHECK (num_nulls(lifted_by, lifted_at, lift_reason) IN (0, 3))
);

CREATE INDEX legal_holds_by_tenant ON public.legal_holds (tenant_id, placed_at, id);

GRANT SELECT, INSERT, UPDATE ON public.legal_holds TO platform_app;
