-- What happened to whose data. Entries are appended in the transaction that they speak of.

CREATE TABLE public.audit_log (
    id          uuid PRIMARY KEY,
    chain       text NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor_kind  text NOT NULL,
    actor_id    uuid,
    action      text NOT NULL,
    subject     text NOT NULL,
    outcome     text NOT NULL,
    request_id  text,
    address     text,
    details     text NOT NULL
);

CREATE INDEX audit_log_by_chain ON public.audit_log (chain, occurred_at, id);

GRANT SELECT, INSERT ON public.audit_log TO platform_app;

GRANT INSERT ON public.audit_log TO platform_tenant;

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;

CREATE POLICY platform_reads ON public.audit_log FOR SELECT TO platform_app USING (true);

CREATE POLICY platform_appends ON public.audit_log FOR INSERT TO platform_app WITH CHECK (true);

-- A tenant session appends to its own chain and reads none.
CREATE POLICY tenant_appends ON public.audit_log FOR INSERT TO platform_tenant WITH CHECK (chain = current_user);
