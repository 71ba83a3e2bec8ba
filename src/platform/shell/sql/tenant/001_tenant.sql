-- One tenant's data. The schema is the search path; nothing here names another schema.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    full_name     text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER')),
    created_at    timestamptz NOT NULL
);

CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    family_id  uuid NOT NULL,
    user_id    uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);

CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);

CREATE TABLE usage_events (
    source      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    resource    text COLLATE "C" NOT NULL,
    quantity    numeric NOT NULL CHECK (quantity >= 0 AND quantity < 1e15),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    attributes  jsonb,
    PRIMARY KEY (source, id)
);

CREATE INDEX usage_events_by_time ON usage_events (occurred_at);

-- Which quarter hours a batch added events to; a row stays until its days have been aggregated.
CREATE TABLE usage_batches (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quarter_hours timestamptz[] NOT NULL,
    received_at   timestamptz NOT NULL
);

-- How far a file has been imported; the row changes in the transaction that stores the events.
CREATE TABLE usage_imports (
    id         text COLLATE "C" PRIMARY KEY,
    file_name  text NOT NULL,
    rows_done  bigint NOT NULL,
    accepted   bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected   bigint NOT NULL,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE daily_usage (
    day           date NOT NULL,
    resource      text COLLATE "C" NOT NULL,
    quantity      numeric NOT NULL,
    events        bigint NOT NULL,
    aggregated_at timestamptz NOT NULL,
    judged        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (day, resource)
);

CREATE INDEX daily_usage_unjudged ON daily_usage (day) WHERE NOT judged;

-- What a day costs, and how much of that an invoice has billed.
CREATE TABLE cost_records (
    day               date NOT NULL,
    resource          text COLLATE "C" NOT NULL,
    quantity          numeric NOT NULL,
    unit_price        numeric NOT NULL,
    price_id          uuid NOT NULL,
    currency          text NOT NULL,
    amount            numeric NOT NULL,
    invoiced_quantity numeric NOT NULL DEFAULT 0,
    invoiced_amount   numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (day, resource)
);

CREATE TABLE anomalies (
    id              uuid PRIMARY KEY,
    day             date NOT NULL,
    resource        text COLLATE "C" NOT NULL,
    observed        numeric NOT NULL,
    expected        double precision NOT NULL,
    expected_low    double precision NOT NULL,
    expected_high   double precision NOT NULL,
    z_score         double precision NOT NULL,
    severity        text NOT NULL,
    detected_at     timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by uuid,
    note            text,
    UNIQUE (day, resource)
);

CREATE TABLE invoices (
    id         uuid PRIMARY KEY,
    month      text COLLATE "C" NOT NULL,
    state      text NOT NULL CHECK (state IN ('DRAFT', 'ISSUED', 'PAID', 'VOID')),
    number     text UNIQUE,
    currency   text NOT NULL,
    seller     jsonb NOT NULL,
    buyer      jsonb NOT NULL,
    net        numeric NOT NULL,
    vat_rule   text NOT NULL,
    vat_rate   numeric NOT NULL,
    vat        numeric NOT NULL,
    total      numeric NOT NULL,
    note       text NOT NULL,
    created_at timestamptz NOT NULL,
    issued_at  timestamptz,
    due_on     date,
    CHECK ((state = 'DRAFT') = (number IS NULL))
);

-- One invoice per month, whatever crashes.
CREATE UNIQUE INDEX invoices_one_per_month ON invoices (month) WHERE state <> 'VOID';

CREATE TABLE invoice_lines (
    invoice_id  uuid NOT NULL REFERENCES invoices (id) ON DELETE CASCADE,
    position    integer NOT NULL,
    resource    text NOT NULL,
    description text NOT NULL,
    quantity    numeric NOT NULL,
    unit        text NOT NULL,
    unit_price  numeric NOT NULL,
    amount      numeric NOT NULL,
    PRIMARY KEY (invoice_id, position)
);

-- The last number given in a year; the row is locked while an invoice is issued, so no number is skipped.
CREATE TABLE invoice_numbers (
    year integer PRIMARY KEY,
    last integer NOT NULL
);

-- An invoice can be written only while it is a draft: the database refuses to change an issued one.
ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;

CREATE POLICY readable ON invoices FOR SELECT USING (true);

CREATE POLICY begins_as_draft ON invoices FOR INSERT WITH CHECK (state = 'DRAFT');

CREATE POLICY changes_as_draft ON invoices FOR UPDATE USING (state = 'DRAFT') WITH CHECK (state IN ('DRAFT', 'ISSUED'));

CREATE POLICY dropped_as_draft ON invoices FOR DELETE USING (state = 'DRAFT');

ALTER TABLE invoice_lines ENABLE ROW LEVEL SECURITY;

CREATE POLICY readable ON invoice_lines FOR SELECT USING (true);

CREATE POLICY added_to_draft ON invoice_lines FOR INSERT WITH CHECK (EXISTS (SELECT FROM invoices WHERE invoices.id = invoice_id AND invoices.state = 'DRAFT'));

CREATE POLICY dropped_from_draft ON invoice_lines FOR DELETE USING (EXISTS (SELECT FROM invoices WHERE invoices.id = invoice_id AND invoices.state = 'DRAFT'));
