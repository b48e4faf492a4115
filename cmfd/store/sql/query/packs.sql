-- Packs, those merged last first.
SELECT
    k.digest, k.cluster, k.node, k.sealed_ns, k.merged_ns, k.size_bytes, k.final AS is_final
FROM pack AS k
ORDER BY k.id DESC
LIMIT :limit
