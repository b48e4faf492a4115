-- The site that a pack was made for, by its id; empty where that was not known.
ALTER TABLE pack ADD COLUMN site TEXT NOT NULL DEFAULT '';
