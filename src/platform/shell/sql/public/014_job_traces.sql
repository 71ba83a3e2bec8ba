-- Where in which trace a job was caused, as W3C Trace Context writes it, so that its spans join that trace.

ALTER TABLE public.jobs ADD COLUMN traceparent text;
