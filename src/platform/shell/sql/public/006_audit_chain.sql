-- The audit log as one hash chain and one Merkle tree for each tenant and for the platform (docs/audit.md).

ALTER TABLE public.audit_log ADD COLUMN salt bytea;

ALTER TABLE public.audit_log ADD COLUMN sequence bigint;

ALTER TABLE public.audit_log ADD COLUMN canonical bytea;

ALTER TABLE public.audit_log ADD COLUMN leaf_hash bytea;

ALTER TABLE public.audit_log ADD COLUMN entry_hash bytea;

ALTER TABLE public.audit_log ADD COLUMN erased_at timestamptz;

ALTER TABLE public.audit_log ALTER COLUMN details DROP NOT NULL;

-- A chain is named by the tenant's id: a slug may be a person's name, and what is hashed cannot be erased.
UPDATE public.audit_log AS a SET chain = t.id::text
FROM public.tenants AS t
WHERE a.chain = 'tenant_' || replace(t.slug, '-', '_');

-- What a tenant's role may write must not be able to stop the sequencer.
ALTER TABLE public.audit_log ADD CHECK (
    occurred_at BETWEEN '2000-01-01Z' AND '2200-01-01Z'
    AND octet_length(action) <= 100 AND octet_length(subject) <= 200 AND octet_length(actor_kind) <= 20
    AND octet_length(outcome) <= 20 AND octet_length(request_id) <= 100 AND octet_length(address) <= 100
    AND octet_length(details) <= 16384
);

ALTER TABLE public.audit_log ADD CHECK (num_nulls(sequence, canonical, leaf_hash, entry_hash) IN (0, 4));

-- Whoever appends pays for the first index and the primary key alone; the sequencer fills the others.
DROP INDEX public.audit_log_by_chain;

CREATE INDEX audit_log_unsequenced ON public.audit_log (occurred_at, id) WHERE sequence IS NULL;

CREATE UNIQUE INDEX audit_log_by_sequence ON public.audit_log (chain, sequence) WHERE sequence IS NOT NULL;

CREATE INDEX audit_log_by_time ON public.audit_log (chain, occurred_at) WHERE sequence IS NOT NULL;

CREATE INDEX audit_log_by_subject ON public.audit_log (chain, subject, sequence) WHERE sequence IS NOT NULL;

CREATE INDEX audit_log_by_actor ON public.audit_log (chain, actor_id, sequence) WHERE sequence IS NOT NULL;

-- How far a chain has come: its size, the hash of its last entry, and the roots of its full subtrees.
CREATE TABLE public.audit_chains (
    chain    text PRIMARY KEY,
    size     bigint NOT NULL,
    head     bytea NOT NULL,
    frontier bytea NOT NULL
);

-- Roots of full subtrees of 256 leaves (level 1), 65,536 leaves (level 2) and so on.
CREATE TABLE public.audit_nodes (
    chain    text NOT NULL,
    level    integer NOT NULL,
    position bigint NOT NULL,
    hash     bytea NOT NULL,
    PRIMARY KEY (chain, level, position)
);

CREATE TABLE public.audit_checkpoints (
    chain      text NOT NULL,
    size       bigint NOT NULL,
    note       text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (chain, size)
);

-- Public keys that checkpoints were signed with.
CREATE TABLE public.audit_keys (
    public_key    bytea PRIMARY KEY,
    first_used_at timestamptz NOT NULL
);

-- Rights -----------------------------------------------------------------------------------------

-- An entry is appended without a place: only the sequencer gives one, and only the eraser takes details away.
REVOKE INSERT ON public.audit_log FROM platform_app, platform_tenant;

GRANT INSERT (id, chain, occurred_at, actor_kind, actor_id, action, subject, outcome, request_id, address, details)
    ON public.audit_log TO platform_app, platform_tenant;

GRANT SELECT ON public.audit_chains, public.audit_nodes, public.audit_checkpoints, public.audit_keys TO platform_app;

GRANT SELECT ON public.audit_log TO platform_sequencer, platform_eraser;

GRANT UPDATE (salt, sequence, canonical, leaf_hash, entry_hash) ON public.audit_log TO platform_sequencer;

GRANT SELECT, INSERT, UPDATE ON public.audit_chains TO platform_sequencer;

GRANT SELECT, INSERT ON public.audit_nodes, public.audit_checkpoints, public.audit_keys TO platform_sequencer;

GRANT UPDATE (details, address, salt, erased_at) ON public.audit_log TO platform_eraser;

GRANT SELECT ON public.audit_chains TO platform_eraser;

CREATE POLICY sequencer_reads ON public.audit_log FOR SELECT TO platform_sequencer USING (true);

CREATE POLICY sequencer_places ON public.audit_log FOR UPDATE TO platform_sequencer USING (true);

CREATE POLICY eraser_reads ON public.audit_log FOR SELECT TO platform_eraser USING (true);

CREATE POLICY eraser_erases ON public.audit_log FOR UPDATE TO platform_eraser USING (true);

-- The chain of a tenant's role; with the rights of its owner, since that role cannot read the registry.
CREATE FUNCTION public.audit_chain_of(role name) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT id::text FROM public.tenants WHERE slug = replace(substr(role::text, 8), '_', '-') $$;

REVOKE ALL ON FUNCTION public.audit_chain_of(name) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION public.audit_chain_of(name) TO platform_tenant;

DROP POLICY tenant_appends ON public.audit_log;

CREATE POLICY tenant_appends ON public.audit_log FOR INSERT TO platform_tenant
    WITH CHECK (chain = public.audit_chain_of(current_user));

-- Whoever owns a table has every right on it, so triggers refuse what no right can.
CREATE FUNCTION public.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'what is in the audit log stays as it is' USING ERRCODE = '42501'; END $$;

CREATE TRIGGER keeps_entries BEFORE DELETE OR TRUNCATE ON public.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

CREATE TRIGGER keeps_content BEFORE UPDATE ON public.audit_log FOR EACH ROW
    WHEN (NOT (
        (OLD.id, OLD.chain, OLD.occurred_at, OLD.actor_kind, OLD.action, OLD.subject, OLD.outcome)
            = (NEW.id, NEW.chain, NEW.occurred_at, NEW.actor_kind, NEW.action, NEW.subject, NEW.outcome)
        AND OLD.actor_id IS NOT DISTINCT FROM NEW.actor_id
        AND OLD.request_id IS NOT DISTINCT FROM NEW.request_id
        AND (
            current_user = 'platform_sequencer'
            AND OLD.sequence IS NULL
            AND NEW.sequence IS NOT NULL
            AND OLD.address IS NOT DISTINCT FROM NEW.address
            AND OLD.details IS NOT DISTINCT FROM NEW.details
            AND OLD.erased_at IS NOT DISTINCT FROM NEW.erased_at
            OR
            current_user = 'platform_eraser'
            AND OLD.sequence IS NOT DISTINCT FROM NEW.sequence
            AND OLD.canonical IS NOT DISTINCT FROM NEW.canonical
            AND OLD.leaf_hash IS NOT DISTINCT FROM NEW.leaf_hash
            AND OLD.entry_hash IS NOT DISTINCT FROM NEW.entry_hash
            AND NEW.salt IS NULL
            AND NEW.address IS NULL
            AND NEW.erased_at IS NOT NULL
            AND NEW.details IS NOT DISTINCT FROM CASE WHEN OLD.sequence IS NULL THEN '{}' END
        )
    ))
    EXECUTE FUNCTION public.refuse_audit_change();

CREATE TRIGGER keeps_nodes BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

CREATE TRIGGER keeps_checkpoints BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

CREATE TRIGGER keeps_keys BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_keys
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

CREATE TRIGGER keeps_chains BEFORE DELETE OR TRUNCATE ON public.audit_chains
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();
