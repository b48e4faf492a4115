-- What content has to do with other content, and what people said of it: see content/0002.sql.
CREATE TABLE link (
    subject_id INTEGER NOT NULL,
    relation TEXT NOT NULL CHECK (relation IN ('contains', 'same')),
    object_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    PRIMARY KEY (subject_id, relation, object_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_by_object ON link (object_id);

CREATE TABLE slice_members (
    artifact_id INTEGER PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE note (
    id INTEGER PRIMARY KEY,
    note BLOB NOT NULL UNIQUE CHECK (length(note) = 16),
    subject TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('tainted', 'cleared', 'tag', 'untag', 'label', 'note')),
    text TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    author TEXT NOT NULL
) STRICT;
CREATE INDEX note_by_subject ON note (subject);
CREATE INDEX note_by_text ON note (kind, text);
