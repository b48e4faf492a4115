-- Who sees what of an index: the runs that were granted, and what is said of them. Made anew whenever
-- it is not of this release. Whose the index is sees everything; a table without a policy of its own is
-- seen by those alone who see everything.

CREATE TABLE IF NOT EXISTS cmfd_reader (
    role TEXT COLLATE "C" NOT NULL,  -- of the database: a user, or a group of users
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('all', 'user', 'project', 'pipeline')),
    value TEXT COLLATE "C" NOT NULL, -- empty of kind all
    PRIMARY KEY (role, kind, value)
);

-- These views have the rights of whose the index is, and tell who asks only what he may see. The first is a
-- barrier: no function of his own is called for what others were granted. The others tell numbers only.
CREATE VIEW granted WITH (security_barrier = true) AS
SELECT g.kind, g.value
FROM cmfd_reader AS g
JOIN pg_catalog.pg_roles AS p ON p.rolname = g.role
WHERE pg_has_role(session_user, p.oid, 'USAGE');

CREATE VIEW readable_run AS
SELECT r.id
FROM run AS r
WHERE r."user" = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'user'))
    OR EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'all')
    OR EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'pipeline') AND EXISTS (
        SELECT 1 FROM execution AS e
        WHERE e.run_id = r.id
            AND e.pipeline = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'pipeline')))
    OR EXISTS (SELECT 1 FROM granted AS g WHERE g.kind = 'project') AND (
        EXISTS (
            SELECT 1 FROM fact AS f
            WHERE f.subject = r.run AND f.key = 'project'
                AND as_text(f.value) = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'project')))
        OR EXISTS (
            SELECT 1 FROM execution AS e JOIN fact AS f ON f.subject = e.execution
            WHERE e.run_id = r.id AND f.key = 'project'
                AND as_text(f.value) = ANY (ARRAY(SELECT g.value FROM granted AS g WHERE g.kind = 'project'))));

CREATE VIEW readable_execution AS
SELECT e.id FROM execution AS e JOIN readable_run AS r ON r.id = e.run_id;

CREATE VIEW readable_artifact AS
SELECT v.artifact_id AS id
FROM event AS v JOIN readable_execution AS x ON x.id = v.execution_id;

-- Whether a run that may be seen used or made something that is in an artifact, or is the same.
CREATE FUNCTION has_readable_part(artifact_id bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
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
    SELECT 1 FROM part AS p WHERE EXISTS (SELECT 1 FROM readable_artifact AS a WHERE a.id = p.id)
);

CREATE POLICY readers ON cmfd_index FOR SELECT USING (true);

CREATE POLICY readers ON run FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = run.id));
CREATE POLICY readers ON run_end FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = run_end.run_id));
CREATE POLICY readers ON delivery FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = delivery.run_id));
CREATE POLICY readers ON pack_run FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = pack_run.run_id));
CREATE POLICY readers ON run_sum FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = run_sum.run_id));
CREATE POLICY readers ON energy FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = energy.run_id));
CREATE POLICY readers ON energy_span FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = energy_span.run_id));
CREATE POLICY readers ON energy_day FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = energy_day.run_id));
CREATE POLICY readers ON energy_hour FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = energy_hour.run_id));
CREATE POLICY readers ON run_energy FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = run_energy.run_id));
CREATE POLICY readers ON run_reading FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = run_reading.run_id));
CREATE POLICY readers ON stale_run FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = stale_run.run_id));
CREATE POLICY readers ON stale_energy FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = stale_energy.run_id));

CREATE POLICY readers ON execution FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_run AS x WHERE x.id = execution.run_id));
CREATE POLICY readers ON execution_end FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = execution_end.execution_id));
CREATE POLICY readers ON process FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = process.execution_id));
CREATE POLICY readers ON process_state FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = process_state.execution_id));
CREATE POLICY readers ON param FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = param.execution_id));
CREATE POLICY readers ON event FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = event.execution_id));
CREATE POLICY readers ON execution_environment FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = execution_environment.execution_id));
CREATE POLICY readers ON execution_sum FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = execution_sum.execution_id));
CREATE POLICY readers ON execution_host FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = execution_host.execution_id));
CREATE POLICY readers ON stale_execution FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = stale_execution.execution_id));
CREATE POLICY readers ON series FOR SELECT
USING (EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = series.execution_id));
CREATE POLICY readers ON chunk FOR SELECT
USING (EXISTS (SELECT 1 FROM series AS s WHERE s.id = chunk.series_id));
CREATE POLICY readers ON nesting FOR SELECT
USING (
    EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = nesting.execution_id)
    AND EXISTS (SELECT 1 FROM readable_execution AS x WHERE x.id = nesting.outer_id));
CREATE POLICY readers ON environment FOR SELECT
USING (EXISTS (SELECT 1 FROM execution_environment AS x WHERE x.environment_id = environment.id));

-- Content that several runs had is seen by who sees one of them; and so is what that is a part of.
CREATE POLICY readers ON artifact FOR SELECT
USING (
    EXISTS (SELECT 1 FROM readable_artifact AS x WHERE x.id = artifact.id)
    OR has_readable_part(artifact.id));
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
