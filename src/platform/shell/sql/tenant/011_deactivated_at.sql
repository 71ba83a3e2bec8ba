-- Since when an account is deactivated, so that retention may erase it after a time; of those from before, since now.

ALTER TABLE users ADD COLUMN deactivated_at timestamptz;

UPDATE users SET deactivated_at = now() WHERE state = 'DEACTIVATED' OR restricted_from = 'DEACTIVATED';
