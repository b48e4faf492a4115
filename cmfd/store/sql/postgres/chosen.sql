-- name: is_made
SELECT 1 WHERE to_regclass('pg_temp.chosen_execution') IS NOT NULL;
