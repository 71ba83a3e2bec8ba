-- Personal data breaches (Art. 33 GDPR) and requests of data subjects (Art. 12(3)), with their clocks.

CREATE TABLE public.register_cases (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('BREACH', 'REQUEST')),
    tenant_id   uuid REFERENCES public.tenants (id),
    summary     text NOT NULL,
    began_at    timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    state       text NOT NULL,
    reason      text,
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    reminded_at timestamptz
);

CREATE INDEX register_cases_by_age ON public.register_cases (created_at, id);

GRANT SELECT, INSERT, UPDATE ON public.register_cases TO platform_app;
