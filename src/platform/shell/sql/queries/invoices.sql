-- name: month_invoice
SELECT id, state, number FROM invoices WHERE month = $1 AND state <> 'VOID';

-- name: insert_draft
INSERT INTO invoices
    (id, month, state, currency, seller, buyer, net, vat_rule, vat_rate, vat, total, note, created_at)
VALUES ($1, $2, 'DRAFT', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: drop_draft
DELETE FROM invoices WHERE id = $1 AND state = 'DRAFT';

-- name: insert_lines
INSERT INTO invoice_lines (invoice_id, position, resource, description, quantity, unit, unit_price, amount)
SELECT $1, position, resource, description, quantity, unit, unit_price, amount
FROM jsonb_to_recordset($2::jsonb) AS line (
    position integer, resource text, description text, quantity numeric, unit text, unit_price numeric,
    amount numeric
);

-- name: next_invoice_number
INSERT INTO invoice_numbers (year, last) VALUES ($1, 1)
ON CONFLICT (year) DO UPDATE SET last = invoice_numbers.last + 1
RETURNING last;

-- name: issue_invoice
UPDATE invoices SET state = 'ISSUED', number = $2, issued_at = $3, due_on = $4 WHERE id = $1;

-- name: invoice_lines
SELECT position, resource, description, quantity, unit, unit_price, amount
FROM invoice_lines
WHERE invoice_id = $1
ORDER BY position;
