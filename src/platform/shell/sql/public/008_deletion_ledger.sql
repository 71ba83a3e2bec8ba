-- What was erased, as salted hashes: a backup that is older than an erasure brings the erased back, and this
-- list, of which copies are kept outside of the database, takes them away again.

CREATE TABLE public.deletion_ledger (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('tenant', 'schema', 'person', 'archive')),
    salt        bytea NOT NULL,
    digest      bytea NOT NULL,
    erased_at   timestamptz NOT NULL,
    mirrored_at timestamptz,
    UNIQUE (salt, digest)
);

CREATE INDEX deletion_ledger_by_age ON public.deletion_ledger (erased_at);

CREATE INDEX deletion_ledger_unmirrored ON public.deletion_ledger (erased_at) WHERE mirrored_at IS NULL;

GRANT SELECT, INSERT ON public.deletion_ledger TO platform_app;

GRANT UPDATE (mirrored_at) ON public.deletion_ledger TO platform_app;
