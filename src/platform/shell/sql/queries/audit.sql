-- name: append_audit_entry
INSERT INTO public.audit_log
    (id, chain, occurred_at, actor_kind, actor_id, action, subject, outcome, request_id, address, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
