-- name: legal_archive
SELECT * FROM public.legal_archives WHERE tenant_id = $1;

-- name: lock_legal_archive
SELECT * FROM public.legal_archives WHERE tenant_id = $1 FOR UPDATE;

-- name: keep_legal_archive
INSERT INTO public.legal_archives
    (tenant_id, object_name, wrapped_key, invoices, country, legal_basis, keep_until, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id) DO UPDATE
SET object_name = $2, wrapped_key = $3, invoices = $4, country = $5, legal_basis = $6, keep_until = $7,
    created_at = $8, destroyed_at = NULL;

-- name: destroy_legal_archive
UPDATE public.legal_archives SET wrapped_key = NULL, destroyed_at = $2 WHERE tenant_id = $1;

-- name: expired_archives
SELECT a.tenant_id FROM public.legal_archives AS a
WHERE a.destroyed_at IS NULL AND a.keep_until < $1
    AND NOT EXISTS (
        SELECT FROM public.legal_holds AS h WHERE h.tenant_id = a.tenant_id AND h.lifted_at IS NULL
    )
ORDER BY a.keep_until
LIMIT 100;

-- name: issued_invoices
SELECT id, issued_at, vat_rule, seller ->> 'country' AS seller_country, to_json(invoices)::text AS row FROM invoices
WHERE state <> 'DRAFT'
ORDER BY number;

-- name: lines_of_issued_invoices
SELECT to_json(l)::text AS row FROM invoice_lines AS l
JOIN invoices AS i ON i.id = l.invoice_id AND i.state <> 'DRAFT'
ORDER BY i.number, l.position;

-- name: costs_to_archive
SELECT to_json(cost_records)::text AS row FROM cost_records ORDER BY day, resource;

-- name: daily_usage_to_archive
SELECT to_json(daily_usage)::text AS row FROM daily_usage ORDER BY day, resource;

-- name: prices_to_archive
SELECT to_json(p)::text AS row FROM public.prices AS p
WHERE p.tenant_id = $1 OR (p.tenant_id IS NULL AND p.id IN (SELECT price_id FROM cost_records))
ORDER BY p.resource, p.effective_from;
