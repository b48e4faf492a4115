-- name: every
-- All steps of a walk, those to what was reached before among them, and from where; and the start, with
-- the kinds of ways that there are, as bits. For the steps, see cmfd/query/distant.py. It ends with the last
-- row that is wanted, wherever the walk is then.
WITH RECURSIVE kinds (nested, linked, continued, unread) AS ({kinds}),
reached (kind, way, before, id) AS (
    SELECT CAST(:kind AS INTEGER), -1, CAST(0 AS INTEGER), CAST(:id AS INTEGER)
    UNION
    SELECT n.kind, n.way, r.id, n.id
    FROM (SELECT DISTINCT kind, id FROM reached) AS r CROSS JOIN LATERAL ({steps}) AS n
)
SELECT
    way, id,
    CASE WHEN way >= 0 THEN before ELSE (
        SELECT nested::int + 2 * linked::int + 4 * continued::int + 8 * unread::int FROM kinds
    ) END
FROM reached LIMIT :limit;
