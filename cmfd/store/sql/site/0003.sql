-- What questions about lineage and searches look things up by.

-- Which execution is nested in which: the column `parent` of `execution`, in this file's integers.
-- Derived: it is no content.
CREATE TABLE nesting (
    execution_id INTEGER PRIMARY KEY,
    outer_id INTEGER NOT NULL        -- local number of the execution it is nested in
) STRICT;
CREATE INDEX nesting_by_outer ON nesting (outer_id);

INSERT INTO execution (execution)
SELECT DISTINCT parent FROM execution WHERE parent IS NOT NULL
ON CONFLICT DO NOTHING;
INSERT INTO nesting
SELECT e.id, o.id FROM execution AS e CROSS JOIN execution AS o ON o.execution = e.parent;

CREATE INDEX execution_by_time ON execution (at_ns);
CREATE INDEX event_by_path ON event (path);
CREATE INDEX event_not_hashed ON event (artifact_id) WHERE problem = 'not hashed';
CREATE INDEX param_by_key ON param (key, value);
CREATE INDEX fact_by_key ON fact (key, value);
CREATE INDEX series_by_name ON series (name, execution_id);
