-- name: may_be
-- What was imported of what cmfd recorded itself goes, whichever of both is new: after absorb.sql, in the
-- same transaction. Most groups have no part in it, which this tells before any of them is taken: nothing
-- imported comes, and nothing that cmfd recorded of which something imported may be here. Before, there
-- was none of what is known here as recorded.
SELECT EXISTS (SELECT 1 FROM incoming.run WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.run_end WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.execution WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.execution_end WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.param WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.event WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.execution_environment WHERE origin < x'0000000000000001')
    OR EXISTS (SELECT 1 FROM incoming.fact WHERE origin < x'0000000000000001')
    OR EXISTS (
        SELECT 1 FROM incoming.execution AS x
        CROSS JOIN main.execution AS e ON e.execution = x.execution
        WHERE e.origin IS NULL OR e.origin < x'0000000000000001'
    )
    OR EXISTS (  -- a run that a copy makes up has the copy's id
        SELECT 1
        FROM (
            SELECT execution AS id FROM incoming.execution UNION ALL SELECT run FROM incoming.run
        ) AS x CROSS JOIN main.run AS r ON r.run = x.id
        WHERE r.origin IS NULL OR r.origin < x'0000000000000001'
    )
    OR EXISTS (  -- of which nothing else may be known
        SELECT 1
        FROM (
            SELECT execution AS id FROM incoming.execution UNION ALL SELECT run FROM incoming.run
        ) AS x CROSS JOIN main.fact AS f ON f.subject = x.id
        WHERE f.origin < x'0000000000000001'
    )
    OR EXISTS (  -- a copy's, by the key: see below
        SELECT 1 FROM incoming.execution AS x CROSS JOIN main.series AS s ON s.instance = x.execution
    )
    OR EXISTS (
        SELECT 1 FROM incoming.series AS x CROSS JOIN main.execution AS e ON e.execution = x.instance
    )
    OR EXISTS (
        SELECT 1 FROM incoming.series WHERE instance IN (SELECT execution FROM incoming.execution)
    );

-- name: execution_end
DELETE FROM main.execution_end WHERE origin < x'0000000000000001' AND execution_id IN (
    SELECT e.id
    FROM (
        SELECT execution FROM incoming.execution
        UNION SELECT execution FROM incoming.execution_end WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: param
DELETE FROM main.param WHERE origin < x'0000000000000001' AND execution_id IN (
    SELECT e.id
    FROM (
        SELECT execution FROM incoming.execution
        UNION SELECT execution FROM incoming.param WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: event
DELETE FROM main.event WHERE origin < x'0000000000000001' AND execution_id IN (
    SELECT e.id
    FROM (
        SELECT execution FROM incoming.execution
        UNION SELECT execution FROM incoming.event WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: execution_environment
DELETE FROM main.execution_environment WHERE origin < x'0000000000000001' AND execution_id IN (
    SELECT e.id
    FROM (
        SELECT execution FROM incoming.execution
        UNION SELECT execution FROM incoming.execution_environment WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: run_end
DELETE FROM main.run_end WHERE origin < x'0000000000000001' AND run_id IN (
    SELECT r.id
    FROM (
        SELECT run FROM incoming.run UNION SELECT run FROM incoming.run_end WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.run AS r ON r.run = x.run
    WHERE r.origin >= x'0000000000000001'
);

-- name: fact_of_execution
DELETE FROM main.fact WHERE origin < x'0000000000000001' AND subject IN (
    SELECT e.execution
    FROM (
        SELECT execution AS subject FROM incoming.execution
        UNION SELECT subject FROM incoming.fact WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.execution AS e ON e.execution = x.subject
    WHERE e.origin >= x'0000000000000001'
);

-- name: fact_of_run
DELETE FROM main.fact WHERE origin < x'0000000000000001' AND subject IN (
    SELECT e.run
    FROM (
        SELECT run AS subject FROM incoming.run
        UNION SELECT subject FROM incoming.fact WHERE origin < x'0000000000000001'
    ) AS x CROSS JOIN main.run AS e ON e.run = x.subject
    WHERE e.origin >= x'0000000000000001'
);

-- name: chunk
-- A copy of an execution that cmfd recorded has that one's id, and the run and the series that it makes
-- up have it, too (see cmfd/formats/mlmd/ingest.py). So their keys alone tell that they are no content
-- where the execution is. Chunks come after this, and only to series that are here.
DELETE FROM main.chunk WHERE series_id IN (
    SELECT s.id
    FROM (
        SELECT execution AS id FROM incoming.execution UNION SELECT instance FROM incoming.series
    ) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    CROSS JOIN main.series AS s ON s.instance = e.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: series
DELETE FROM main.series WHERE id IN (
    SELECT s.id
    FROM (
        SELECT execution AS id FROM incoming.execution UNION SELECT instance FROM incoming.series
    ) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    CROSS JOIN main.series AS s ON s.instance = e.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: copied_run_end
DELETE FROM main.run_end WHERE origin < x'0000000000000001' AND run_id IN (
    SELECT r.id
    FROM (
        SELECT execution AS id FROM incoming.execution UNION SELECT run FROM incoming.run_end
    ) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    CROSS JOIN main.run AS r ON r.run = e.execution
    WHERE e.origin >= x'0000000000000001'
);

-- name: copied_run
UPDATE main.run SET
    at_ns = NULL, origin = NULL, uid = NULL, cluster = NULL, job = NULL, restart = NULL, user = NULL,
    name = NULL, command = NULL, cwd = NULL
WHERE origin < x'0000000000000001' AND run IN (
    SELECT e.execution
    FROM (SELECT execution AS id FROM incoming.execution UNION SELECT run FROM incoming.run) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    WHERE e.origin >= x'0000000000000001'
);

-- name: pack_run
-- Nobody waits for those.
DELETE FROM main.pack_run WHERE run_id IN (
    SELECT r.id
    FROM (SELECT execution AS id FROM incoming.execution UNION SELECT run FROM incoming.run) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    CROSS JOIN main.run AS r ON r.run = e.execution
    WHERE e.origin >= x'0000000000000001' AND r.at_ns IS NULL
        AND NOT EXISTS (SELECT 1 FROM main.execution AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.run_end AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.delivery AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.energy_span AS o WHERE o.run_id = r.id)
);

-- name: run
DELETE FROM main.run WHERE id IN (
    SELECT r.id
    FROM (SELECT execution AS id FROM incoming.execution UNION SELECT run FROM incoming.run) AS x
    CROSS JOIN main.execution AS e ON e.execution = x.id
    CROSS JOIN main.run AS r ON r.run = e.execution
    WHERE e.origin >= x'0000000000000001' AND r.at_ns IS NULL
        AND NOT EXISTS (SELECT 1 FROM main.execution AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.run_end AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.delivery AS o WHERE o.run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM main.energy_span AS o WHERE o.run_id = r.id)
);
