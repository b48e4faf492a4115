-- What the rows of a pack must be beyond their column types, which the site's STRICT tables see to.
-- Each statement gives a row, which says what is wrong, only if something is. Chunks are nearly all of
-- a pack, so they are read once: the site's table checks them as they come.

SELECT 'an id in run' FROM run WHERE length(run) <> 16 OR length(origin) <> 16 LIMIT 1;
SELECT 'an id in run_end' FROM run_end WHERE length(run) <> 16 OR length(origin) <> 16 LIMIT 1;
SELECT 'an id in execution' FROM execution
WHERE length(execution) <> 16 OR length(origin) <> 16 OR length(run) <> 16 OR length(parent) <> 16 LIMIT 1;
SELECT 'an id in execution_end' FROM execution_end
WHERE length(execution) <> 16 OR length(origin) <> 16 LIMIT 1;
SELECT 'an id in process' FROM process
WHERE length(execution) <> 16 OR length(instance) <> 16 OR length(origin) <> 16 LIMIT 1;
SELECT 'an id in process_state' FROM process_state
WHERE length(execution) <> 16 OR length(instance) <> 16 OR length(origin) <> 16 LIMIT 1;

SELECT 'an id or a value in param' FROM param
WHERE length(execution) <> 16 OR length(origin) <> 16 OR NOT CASE value_type
    WHEN 'int' THEN typeof(value) = 'integer'
    WHEN 'float' THEN typeof(value) = 'real' OR value = 'NaN'
    WHEN 'bool' THEN typeof(value) = 'integer' AND value IN (0, 1)
    WHEN 'str' THEN typeof(value) = 'text'
    WHEN 'json' THEN typeof(value) = 'text'
    WHEN 'null' THEN value = 'null'
    ELSE false END
LIMIT 1;
SELECT 'an id or a value in fact' FROM fact
WHERE length(subject) <> 16 OR length(origin) <> 16 OR NOT CASE value_type
    WHEN 'int' THEN typeof(value) = 'integer'
    WHEN 'float' THEN typeof(value) = 'real' OR value = 'NaN'
    WHEN 'bool' THEN typeof(value) = 'integer' AND value IN (0, 1)
    WHEN 'str' THEN typeof(value) = 'text'
    WHEN 'json' THEN typeof(value) = 'text'
    WHEN 'null' THEN value = 'null'
    ELSE false END
LIMIT 1;

SELECT 'the size or the digest of an artifact' FROM artifact
WHERE instr(digest, ':') < 2 OR size_bytes < -1 OR n_files < 0 LIMIT 1;
SELECT 'an id, the direction or the digest of an event' FROM event
WHERE length(execution) <> 16 OR length(origin) <> 16 OR instr(digest, ':') < 2
    OR direction NOT IN ('input', 'output')
LIMIT 1;
SELECT 'the digest of an environment' FROM environment WHERE digest = '' LIMIT 1;
SELECT 'an id in execution_environment' FROM execution_environment
WHERE length(execution) <> 16 OR length(origin) <> 16 LIMIT 1;
SELECT 'an id or the kind of a series' FROM series
WHERE length(instance) <> 16 OR length(execution) <> 16 OR kind NOT IN ('float', 'int') LIMIT 1;
