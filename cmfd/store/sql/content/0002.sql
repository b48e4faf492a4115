-- What content has to do with other content, and what people said of it afterwards.

-- kind: first. Relation `contains`: the object is part of the subject, under that name: a data set of
-- a file, a slice of a data set. Relation `same`: both digests are of the same content.
CREATE TABLE link (
    subject TEXT NOT NULL,           -- digest of an artifact
    relation TEXT NOT NULL,          -- contains, same
    object TEXT NOT NULL,            -- digest of another one
    name TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    PRIMARY KEY (subject, relation, object, name)
) STRICT, WITHOUT ROWID;

-- kind: set. The members of slices, JSON documents; a slice is identified by its members.
CREATE TABLE slice_members (
    digest TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: set. What somebody said of an artifact, run or execution; nothing said later replaces it.
CREATE TABLE note (
    note BLOB NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,           -- digest of an artifact, or id in hexadecimal
    kind TEXT NOT NULL,              -- tainted, cleared, tag, untag, label, note
    text TEXT NOT NULL,              -- the reason, tag or label
    at_ns INTEGER NOT NULL,
    uid INTEGER NOT NULL,            -- of who ran the command
    author TEXT NOT NULL
) STRICT, WITHOUT ROWID;
