-- Filtering a long log by refusals reads these alone. Nearly every entry is a success, so writers pay nothing; an
-- index by action they would pay for with each entry.

CREATE INDEX audit_log_denied ON public.audit_log (chain, outcome, sequence)
    WHERE sequence IS NOT NULL AND outcome <> 'success';
