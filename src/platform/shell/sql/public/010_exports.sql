-- Packages of a tenant's data (Art. 20 GDPR): asked for, written into the object store, deleted when they expire.

CREATE TABLE public.exports (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES public.tenants (id),
    format       text NOT NULL CHECK (format IN ('json', 'csv', 'xml')),
    requested_by uuid,
    created_at   timestamptz NOT NULL,
    object_name  text,
    size         bigint,
    sha256       text,
    rows         bigint,
    finished_at  timestamptz,
    expires_at   timestamptz,
    deleted_at   timestamptz,
    CHECK ((finished_at IS NULL) = (object_name IS NULL))
);

CREATE INDEX exports_by_tenant ON public.exports (tenant_id, created_at, id);

CREATE INDEX exports_kept ON public.exports (expires_at) WHERE finished_at IS NOT NULL AND deleted_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.exports TO platform_app;
