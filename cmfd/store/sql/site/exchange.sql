-- name: newest
-- Numbers have no gaps, so that the last is how many there are; counting would read all of them.
SELECT id, digest, merged_ns FROM pack ORDER BY id DESC LIMIT 1;

-- name: count_since
SELECT count(*) FROM pack WHERE id > :number;

-- name: since
SELECT id, digest, merged_ns, size_bytes FROM pack WHERE id > :number ORDER BY id LIMIT :limit;

-- name: has
SELECT 1 FROM pack WHERE digest = :digest;

-- name: at
SELECT digest, merged_ns FROM pack WHERE id = :number;
