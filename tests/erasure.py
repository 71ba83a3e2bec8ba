"""What a tenant has that the law makes one keep, for tests that erase it."""

INVOICE = """
INSERT INTO {schema}.invoices
    (id, month, state, number, currency, seller, buyer, net, vat_rule, vat_rate, vat, total, note,
     created_at, issued_at, due_on)
VALUES (gen_random_uuid(), '2026-10', 'ISSUED', 'ACME-2026-00001', 'EUR',
        '{{"name": "Seller", "country": "DE"}}', '{{"name": "Acme GmbH", "country": "DE"}}',
        14.40, 'domestic', 19, 2.74, 17.14, '', '2026-11-02Z', '2026-11-02Z', '2026-11-16')
"""
LINE = """
INSERT INTO {schema}.invoice_lines
SELECT id, 1, 'cpu', 'cpu (vCPU-hour)', 720, 'vCPU-hour', 0.02, 14.40 FROM {schema}.invoices
"""
