-- For how many days accounts stay after they were deactivated; NULL: until somebody erases them.

ALTER TABLE public.retention_policies ADD COLUMN deactivated_people_days integer;
