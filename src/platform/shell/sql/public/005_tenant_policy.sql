-- What operators grant a tenant, and what its owner demands of its people.

-- Names the limits of its requests; which tiers there are is a setting.
ALTER TABLE public.tenants ADD COLUMN tier text NOT NULL DEFAULT 'standard';

ALTER TABLE public.tenants ADD COLUMN require_second_factor boolean NOT NULL DEFAULT false;
