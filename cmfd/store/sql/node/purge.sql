-- name: purgeable
SELECT s.run FROM standing AS s
LEFT JOIN owner AS o ON o.subject = s.run
WHERE s.finished AND s.seq <= s.sealed_seq AND (
    s.sealed_ns < :before_ns OR o.uid IN (SELECT value FROM json_each(:uids))
) AND NOT EXISTS (
    SELECT 1 FROM instance AS i WHERE i.ended_ns IS NULL AND i.instance IN (
        SELECT m.instance FROM mention AS m WHERE m.subject = s.run
        UNION ALL
        SELECT m.instance FROM execution AS e JOIN mention AS m ON m.subject = e.execution
        WHERE e.run = s.run
    )
);

-- name: drop_param
DELETE FROM param WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_event
DELETE FROM event WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_process
DELETE FROM process WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_process_state
DELETE FROM process_state WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_execution_environment
DELETE FROM execution_environment WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_execution_end
DELETE FROM execution_end WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_touch
DELETE FROM touch WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_series_stat
DELETE FROM series_stat WHERE (instance, series) IN (
    SELECT s.instance, s.series FROM series AS s JOIN execution AS e USING (execution) WHERE e.run = :run
);

-- name: drop_series
DELETE FROM series WHERE execution IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_fact
DELETE FROM fact WHERE subject = :run OR subject IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_mention
DELETE FROM mention WHERE subject = :run OR subject IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_owner
DELETE FROM owner WHERE subject = :run OR subject IN (SELECT execution FROM execution WHERE run = :run);

-- name: drop_execution
DELETE FROM execution WHERE run = :run;

-- name: drop_run_end
DELETE FROM run_end WHERE run = :run;

-- name: drop_run
DELETE FROM run WHERE run = :run;

-- name: drop_standing
DELETE FROM standing WHERE run = :run;

-- name: end_energy
DELETE FROM energy WHERE run = :run;

-- name: old_ledger
-- What every site has that gets it; and what waits for one that was not there for long.
DELETE FROM energy WHERE run = zeroblob(16) AND t0_ns < :before_ns AND (
    seq <= ifnull((SELECT min(sealed_seq) FROM ledger), 0) OR t0_ns < :before_ns - 2592000000000000
);

-- name: old_probe
DELETE FROM energy_probe WHERE at_ns < :before_ns - 2592000000000000;

-- name: old_hardware
DELETE FROM node_hardware WHERE at_ns < :before_ns - 2592000000000000;

-- name: clean_link
DELETE FROM link
WHERE subject NOT IN (SELECT digest FROM event) AND object NOT IN (
    SELECT digest FROM event
    UNION
    SELECT subject FROM link WHERE object IN (SELECT digest FROM event)
);

-- name: clean_slice_members
DELETE FROM slice_members WHERE digest NOT IN (SELECT digest FROM event);

-- name: clean_artifact
DELETE FROM artifact WHERE digest NOT IN (
    SELECT digest FROM event UNION SELECT subject FROM link UNION SELECT object FROM link
);

-- name: clean_environment
DELETE FROM environment WHERE digest NOT IN (SELECT digest FROM execution_environment);

-- name: idle
SELECT instance, journal FROM instance
WHERE (ended_ns < :before_ns OR (ended_ns IS NOT NULL AND uid IN (SELECT value FROM json_each(:uids))))
    AND instance NOT IN (SELECT instance FROM mention);

-- name: empty_slice
DELETE FROM slice WHERE instance = :instance;

-- name: empty_series_stat
DELETE FROM series_stat WHERE instance = :instance;

-- name: empty_row_group
DELETE FROM row_group WHERE instance = :instance;

-- name: empty_touch
DELETE FROM touch WHERE instance = :instance;

-- name: empty_part
DELETE FROM part WHERE instance = :instance;

-- name: forget_committed
DELETE FROM committed WHERE instance = :instance;

-- name: forget_instance
DELETE FROM instance WHERE instance = :instance;
