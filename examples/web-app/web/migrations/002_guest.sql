-- The version before this one goes on writing entries while this runs: what is new has a default.
ALTER TABLE entries ADD COLUMN guest text NOT NULL DEFAULT 'somebody';
