-- Packs, those merged last first; of those that are of several runs, one of these.
SELECT
    k.digest, k.cluster, k.node, k.site, k.sealed_ns, k.merged_ns, k.size_bytes,
    k.final AS is_final,
    EXISTS (SELECT 1 FROM pack_about WHERE pack_id = k.id) AS is_late, lower(ifnull(hex(r.run), '')) AS run, ifnull(r.job, '') AS job,
    ifnull(r.user, '') AS user
FROM (SELECT * FROM pack ORDER BY id DESC LIMIT :limit) AS k
LEFT JOIN run AS r ON r.run = ifnull(
    (
        SELECT min(o.run) FROM pack_run AS x CROSS JOIN run AS o ON o.id = x.run_id
        WHERE x.pack_id = k.id
    ),
    (
        SELECT min(o.run) FROM pack_about AS x
        LEFT JOIN execution AS e ON e.execution = id_of(x.subject)
        CROSS JOIN run AS o ON o.run = id_of(x.subject) OR o.id = e.run_id
        WHERE x.pack_id = k.id
    )
)
ORDER BY k.id DESC
