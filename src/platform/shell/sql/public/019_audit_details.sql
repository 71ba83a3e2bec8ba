-- For how many days entries of a tenant's audit log keep details and addresses; NULL: as long as the entries.

ALTER TABLE public.retention_policies ADD COLUMN audit_details_days integer;
