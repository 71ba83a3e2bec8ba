-- For how many days backups hold a tenant's data; NULL: for as long as the operator keeps them.

ALTER TABLE public.retention_policies ADD COLUMN backups_days integer;
