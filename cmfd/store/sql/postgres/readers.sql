-- Who sees what of an index: the runs that were granted, and what is said of them. Made anew whenever
-- it is not of this release. Whose the index is sees everything; a table without a policy of its own is
-- seen by those alone who see everything.

CREATE TABLE IF NOT EXISTS cmfd_reader (
    role TEXT COLLATE "C" NOT NULL,  -- of the database: a user, or a group of users
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('all', 'user', 'project', 'pipeline')),
    value TEXT COLLATE "C" NOT NULL, -- empty of kind all
    PRIMARY KEY (role, kind, value)
);

-- What follows has the rights of whose the index is, and tells who asks only what he may see. The view is a
-- barrier: no function of his own is called for what others were granted. The functions tell numbers only.
CREATE VIEW granted WITH (security_barrier = true) AS
SELECT g.kind, g.value
FROM cmfd_reader AS g
JOIN pg_catalog.pg_roles AS p ON p.rolname = g.role
WHERE pg_has_role(session_user, p.oid, 'USAGE');

-- These are functions, and not views: what is asked of a site names its tables many times, and the plan of
-- that would have all of them as often. Each is asked once for a table, whatever the number of its rows; if
-- they were called stable, also to plan that.
CREATE INDEX IF NOT EXISTS run_by_user ON run USING hash ("user");

CREATE OR REPLACE FUNCTION readable_runs() RETURNS bigint[] LANGUAGE sql VOLATILE SECURITY DEFINER
RETURN ARRAY(
    SELECT r.id FROM run AS r
    WHERE r."user" = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'user'))
    UNION
    SELECT e.run_id FROM execution AS e
    WHERE EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'pipeline') AND e.run_id IS NOT NULL
        AND e.pipeline = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'pipeline'))
    UNION
    SELECT coalesce(r.id, e.run_id) FROM fact AS f
    LEFT JOIN run AS r ON r.run = f.subject
    LEFT JOIN execution AS e ON e.execution = f.subject
    WHERE EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'project') AND f.key = 'project'
        AND as_text(f.value) = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'project'))
        AND coalesce(r.id, e.run_id) IS NOT NULL
);

CREATE OR REPLACE FUNCTION readable_executions() RETURNS bigint[] LANGUAGE sql VOLATILE SECURITY DEFINER
RETURN ARRAY(SELECT e.id FROM unnest(readable_runs()) AS r (id) JOIN execution AS e ON e.run_id = r.id);

CREATE OR REPLACE FUNCTION sees_all() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
RETURN EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'all');

CREATE OR REPLACE FUNCTION has_links() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
RETURN EXISTS (SELECT 1 FROM link);

-- Whether a run that may be seen used or made something that is in an artifact, or is the same.
CREATE OR REPLACE FUNCTION has_readable_part(artifact_id bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
RETURN EXISTS (
    WITH RECURSIVE part (id) AS (
        SELECT artifact_id
        UNION
        SELECT n.id
        FROM part AS p CROSS JOIN LATERAL (
            SELECT l.object_id AS id FROM link AS l WHERE l.subject_id = p.id
            UNION ALL
            SELECT l.subject_id FROM link AS l WHERE l.object_id = p.id AND l.relation = 'same'
        ) AS n
    )
    SELECT 1
    FROM part AS p JOIN event AS v ON v.artifact_id = p.id JOIN execution AS e ON e.id = v.execution_id
    WHERE e.run_id IN (SELECT unnest(readable_runs()))
);

CREATE POLICY readers ON cmfd_index FOR SELECT USING (true);

CREATE POLICY readers ON run FOR SELECT
USING (run.id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON run_end FOR SELECT
USING (run_end.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON delivery FOR SELECT
USING (delivery.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON pack_run FOR SELECT
USING (pack_run.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON run_sum FOR SELECT
USING (run_sum.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON energy FOR SELECT
USING (energy.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON energy_span FOR SELECT
USING (energy_span.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON energy_day FOR SELECT
USING (energy_day.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON energy_hour FOR SELECT
USING (energy_hour.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON run_hour FOR SELECT
USING (run_hour.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON run_energy FOR SELECT
USING (run_energy.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON run_reading FOR SELECT
USING (run_reading.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON stale_run FOR SELECT
USING (stale_run.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON stale_energy FOR SELECT
USING (stale_energy.run_id IN (SELECT unnest(readable_runs())));

CREATE POLICY readers ON execution FOR SELECT
USING (execution.run_id IN (SELECT unnest(readable_runs())));
CREATE POLICY readers ON execution_end FOR SELECT
USING (execution_end.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON process FOR SELECT
USING (process.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON process_state FOR SELECT
USING (process_state.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON param FOR SELECT
USING (param.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON event FOR SELECT
USING (event.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON execution_environment FOR SELECT
USING (execution_environment.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON execution_sum FOR SELECT
USING (execution_sum.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON execution_host FOR SELECT
USING (execution_host.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON stale_execution FOR SELECT
USING (stale_execution.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON series FOR SELECT
USING (series.execution_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON chunk FOR SELECT
USING (EXISTS (SELECT 1 FROM series AS s WHERE s.id = chunk.series_id));
CREATE POLICY readers ON nesting FOR SELECT
USING (
    nesting.execution_id IN (SELECT unnest(readable_executions()))
    AND nesting.outer_id IN (SELECT unnest(readable_executions())));
CREATE POLICY readers ON environment FOR SELECT
USING (EXISTS (SELECT 1 FROM execution_environment AS x WHERE x.environment_id = environment.id));

-- Content that several runs had is seen by who sees one of them; and so is what that is a part of.
CREATE POLICY readers ON artifact FOR SELECT
USING (
    EXISTS (SELECT 1 FROM event AS v WHERE v.artifact_id = artifact.id)
    OR (SELECT has_links()) AND has_readable_part(artifact.id));
CREATE POLICY readers ON link FOR SELECT
USING (
    EXISTS (SELECT 1 FROM artifact AS a WHERE a.id = link.subject_id)
    AND EXISTS (SELECT 1 FROM artifact AS a WHERE a.id = link.object_id));
CREATE POLICY readers ON slice_members FOR SELECT
USING (EXISTS (SELECT 1 FROM artifact AS a WHERE a.id = slice_members.artifact_id));

-- What is said of what may be seen.
CREATE POLICY readers ON fact FOR SELECT
USING (
    EXISTS (SELECT 1 FROM run AS r WHERE r.run = fact.subject)
    OR EXISTS (SELECT 1 FROM execution AS e WHERE e.execution = fact.subject));
CREATE POLICY readers ON note FOR SELECT
USING (
    EXISTS (SELECT 1 FROM artifact AS a WHERE a.digest = note.subject)
    OR EXISTS (SELECT 1 FROM run AS r WHERE r.run = id_of(note.subject))
    OR EXISTS (SELECT 1 FROM execution AS e WHERE e.execution = id_of(note.subject)));
CREATE POLICY readers ON pack_about FOR SELECT
USING (
    EXISTS (SELECT 1 FROM artifact AS a WHERE a.digest = pack_about.subject)
    OR EXISTS (SELECT 1 FROM run AS r WHERE r.run = id_of(pack_about.subject))
    OR EXISTS (SELECT 1 FROM execution AS e WHERE e.execution = id_of(pack_about.subject)));
CREATE POLICY readers ON pack FOR SELECT
USING (
    EXISTS (SELECT 1 FROM pack_run AS x WHERE x.pack_id = pack.id)
    OR EXISTS (SELECT 1 FROM pack_about AS x WHERE x.pack_id = pack.id));

-- Of nodes, those that what may be seen ran on.
CREATE POLICY readers ON meter FOR SELECT
USING (EXISTS (SELECT 1 FROM energy_span AS x WHERE x.meter_id = meter.id));
CREATE POLICY readers ON energy_probe FOR SELECT
USING (
    EXISTS (SELECT 1 FROM meter AS m WHERE m.boot = energy_probe.boot AND m.node = energy_probe.node)
    OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.node = energy_probe.node));
CREATE POLICY readers ON node_hardware FOR SELECT
USING (
    EXISTS (SELECT 1 FROM meter AS m WHERE m.boot = node_hardware.boot AND m.node = node_hardware.node)
    OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.node = node_hardware.node));
