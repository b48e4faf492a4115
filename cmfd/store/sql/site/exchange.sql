-- name: count
SELECT count(*) FROM pack;

-- name: count_since
SELECT count(*) FROM pack WHERE id > :number;

-- name: since
SELECT id, digest, merged_ns, size_bytes FROM pack WHERE id > :number ORDER BY id LIMIT :limit;

-- name: has
SELECT 1 FROM pack WHERE digest = :digest;

-- name: at
SELECT digest, merged_ns FROM pack WHERE id = :number;
