-- The run that began :back runs before the latest.
SELECT id AS run_id FROM run ORDER BY at_ns DESC, id DESC LIMIT 1 OFFSET :back
