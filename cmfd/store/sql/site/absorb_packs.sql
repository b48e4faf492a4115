-- name: ledger
-- A pack put down once the rows of its group are taken, in the same transaction. Formats before 5 do not
-- say for which site they are.
INSERT INTO main.pack (digest, size_bytes, cluster, node, sealed_ns, final, merged_ns, site)
SELECT :digest, :size_bytes, cluster, node, sealed_ns, final, :merged_ns, ifnull(site, '')
FROM incoming.pack WHERE pack_no = :pack_no;

-- name: about
-- What a pack is about is told by the pack alone, so that it is the same in whatever order packs
-- come: the runs that it has something of. Those of a run are about nothing else.
INSERT INTO main.pack_run (run_id, pack_id)
SELECT DISTINCT r.id, (SELECT id FROM main.pack WHERE digest = :digest)
FROM (
    SELECT run FROM incoming.run WHERE pack_no = :pack_no
    UNION ALL SELECT run FROM incoming.execution WHERE pack_no = :pack_no
    UNION ALL SELECT run FROM incoming.run_end WHERE pack_no = :pack_no
) AS x CROSS JOIN main.run AS r ON r.run = x.run WHERE true
ON CONFLICT DO NOTHING;

-- name: about_parts
-- What is said of runs and executions that other packs make known, now or later, and of artifacts.
INSERT INTO main.pack_about (subject, pack_id)
SELECT x.subject, (SELECT id FROM main.pack WHERE digest = :digest)
FROM (
    SELECT lower(hex(subject)) AS subject FROM incoming.fact WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.execution_end WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.process WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.process_state WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.param WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.event WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.execution_environment WHERE pack_no = :pack_no
    UNION SELECT lower(hex(execution)) FROM incoming.series WHERE pack_no = :pack_no
    UNION SELECT lower(hex(run)) FROM incoming.delivery WHERE pack_no = :pack_no
    UNION SELECT subject FROM incoming.note WHERE pack_no = :pack_no
    UNION SELECT subject FROM incoming.link WHERE pack_no = :pack_no
    UNION SELECT object FROM incoming.link WHERE pack_no = :pack_no
    UNION SELECT digest FROM incoming.slice_members WHERE pack_no = :pack_no
) AS x;

-- name: about_energy
INSERT INTO main.pack_run (run_id, pack_id)
SELECT DISTINCT r.id, (SELECT id FROM main.pack WHERE digest = :digest)
FROM incoming.energy AS x CROSS JOIN main.run AS r ON r.run = x.run
WHERE x.pack_no = :pack_no AND x.owner = 'run'
ON CONFLICT DO NOTHING;
