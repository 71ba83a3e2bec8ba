-- Filtering a long log by action or by outcome reads the entries that match, and no others.

CREATE INDEX audit_log_by_action ON public.audit_log (chain, action, sequence) WHERE sequence IS NOT NULL;

-- Nearly every entry is a success, so the index is small.
CREATE INDEX audit_log_denied ON public.audit_log (chain, outcome, sequence)
    WHERE sequence IS NOT NULL AND outcome <> 'success';
