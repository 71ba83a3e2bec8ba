-- Restriction of processing (Art. 18 GDPR): the account is kept and nothing else is done with it. Retention below.

ALTER TABLE users DROP CONSTRAINT users_state_check;

ALTER TABLE users ADD CONSTRAINT users_state_check CHECK (state IN ('ACTIVE', 'DEACTIVATED', 'RESTRICTED'));

ALTER TABLE users ADD COLUMN restricted_from text CHECK (restricted_from IN ('ACTIVE', 'DEACTIVATED'));

ALTER TABLE users ADD COLUMN restricted_at timestamptz;

ALTER TABLE users ADD COLUMN restriction_reason text;

ALTER TABLE users ADD CHECK ((state = 'RESTRICTED') = (restricted_from IS NOT NULL AND restricted_at IS NOT NULL AND restriction_reason IS NOT NULL));

-- Soft deletion by age: rows of a target that are older than a mark are deleted for readers since it was set, and
-- for good after the grace period. The latest mark is the horizon, before which no usage is taken any more.
CREATE TABLE retention_marks (
    target     text COLLATE "C" NOT NULL,
    before     timestamptz NOT NULL,
    marked_at  timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (target, before)
);
