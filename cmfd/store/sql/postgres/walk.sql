-- name: is_made
SELECT 1 WHERE to_regclass('pg_temp.reached_around_by_depth') IS NOT NULL;

-- name: to_parts
-- PostgreSQL's recursive queries have one recursive part.
INSERT OR IGNORE INTO reached_artifact
WITH RECURSIVE inside (id, whole_id) AS (
    SELECT f.id, NULL::bigint FROM reached_artifact AS f WHERE f.depth = :depth
    UNION
    SELECT n.id, i.id
    FROM inside AS i CROSS JOIN LATERAL (
        SELECT l.object_id AS id FROM link AS l WHERE l.subject_id = i.id
        UNION ALL
        SELECT l.subject_id FROM link AS l WHERE l.object_id = i.id AND l.relation = 'same'
    ) AS n
)
SELECT i.id, :depth, -i.whole_id FROM inside AS i WHERE i.whole_id IS NOT NULL;

-- name: to_overlapping
INSERT OR IGNORE INTO reached_around
SELECT m.artifact_id, :depth, f.id
FROM reached_artifact AS f
JOIN slice_members AS s ON s.artifact_id = f.id AND json_valid(s.document)
JOIN link AS l ON l.object_id = f.id AND l.relation = 'contains'
JOIN link AS k ON k.subject_id = l.subject_id AND k.relation = 'contains'
JOIN slice_members AS m ON m.artifact_id = k.object_id AND json_valid(m.document)
WHERE f.depth = :depth AND slices_overlap(s.document, m.document);

-- name: to_wholes
INSERT OR IGNORE INTO reached_around
WITH RECURSIVE around (id, part_id) AS (
    SELECT f.id, NULL::bigint FROM (
        SELECT id FROM reached_artifact WHERE depth = :depth
        UNION SELECT id FROM reached_around WHERE depth = :depth
    ) AS f
    UNION
    SELECT n.id, a.id
    FROM around AS a CROSS JOIN LATERAL (
        SELECT l.subject_id AS id FROM link AS l WHERE l.object_id = a.id
        UNION ALL
        SELECT l.object_id FROM link AS l WHERE l.subject_id = a.id AND l.relation = 'same'
    ) AS n
)
SELECT a.id, :depth, a.part_id FROM around AS a WHERE a.part_id IS NOT NULL;
