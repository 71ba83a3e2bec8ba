-- Keys of usage events that retention has deleted: the first half of the SHA-256 of source and id. A key counts once,
-- for ever, also after its event is gone.
CREATE TABLE spent_keys (
    key uuid PRIMARY KEY
);
