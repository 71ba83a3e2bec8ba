-- name: month_costs
SELECT resource, sum(quantity) AS quantity, sum(amount) AS amount, max(day) AS up_to
FROM cost_records
WHERE day BETWEEN $1 AND $2
GROUP BY resource
ORDER BY resource;

-- name: daily_amounts
SELECT day, sum(amount) AS amount FROM cost_records WHERE day BETWEEN $1 AND $2 GROUP BY day ORDER BY day;

-- name: list_costs
SELECT day, resource, quantity, unit_price, price_id, currency, amount
FROM cost_records
WHERE ($1::date IS NULL OR day >= $1)
  AND ($2::date IS NULL OR day <= $2)
  AND ($3::text IS NULL OR resource = $3)
  AND ($4::date IS NULL OR (day, resource) > ($4, $5))
ORDER BY day, resource
LIMIT $6;

-- name: lock_costs
-- Until the transaction ends nobody else writes costs, new ones included: what is billed is what was read.
-- Nor does anybody else make an invoice. (Locking its row would pass over issued ones, which none may update.)
LOCK TABLE cost_records IN SHARE ROW EXCLUSIVE MODE;

-- name: unbilled_costs
-- What no invoice has billed yet, up to the end of a month; the rows stay locked until they are billed.
WITH open AS (
    SELECT * FROM cost_records
    WHERE day <= $1 AND (amount <> invoiced_amount OR quantity <> invoiced_quantity)
    FOR UPDATE
)
SELECT to_char(day, 'YYYY-MM') AS month, resource, unit_price,
       sum(quantity - invoiced_quantity) AS quantity, sum(amount - invoiced_amount) AS amount
FROM open
GROUP BY 1, 2, 3;

-- name: bill_costs
UPDATE cost_records
SET invoiced_amount = amount, invoiced_quantity = quantity
WHERE day <= $1 AND (amount <> invoiced_amount OR quantity <> invoiced_quantity);

-- name: unbilled_preview
SELECT to_char(day, 'YYYY-MM') AS month, resource, unit_price,
       sum(quantity - invoiced_quantity) AS quantity, sum(amount - invoiced_amount) AS amount
FROM cost_records
WHERE day <= $1 AND (amount <> invoiced_amount OR quantity <> invoiced_quantity)
GROUP BY 1, 2, 3;

-- name: insert_price
INSERT INTO public.prices (id, tenant_id, resource, unit_price, currency, effective_from, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING id;
