-- What packs are about, whatever else the site knows by then: see absorb_chunks.sql.

ALTER TABLE pack ADD COLUMN site TEXT NOT NULL DEFAULT '';  -- the id of the site that it was made for

-- Of packs that have no run of their own, what they speak of. Derived.
CREATE TABLE pack_about (
    subject TEXT NOT NULL,           -- id of a run or execution in hexadecimal, or an artifact's digest
    pack_id INTEGER NOT NULL,
    PRIMARY KEY (subject, pack_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pack_about_by_pack ON pack_about (pack_id);
CREATE INDEX pack_run_by_pack ON pack_run (pack_id);
