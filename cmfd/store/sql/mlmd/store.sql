-- name: is_first
-- Of schema 0, which does not say so.
SELECT 1 FROM sqlite_schema AS t
WHERE t.name = 'ArtifactProperty' AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'MLMDEnv');

-- name: version
SELECT max(schema_version) AS version FROM MLMDEnv;

-- name: artifact
SELECT * FROM Artifact ORDER BY id;

-- name: artifact_properties
SELECT * FROM ArtifactProperty ORDER BY artifact_id, is_custom_property, name;

-- name: add_artifact_property
INSERT INTO ArtifactProperty (
    artifact_id, name, is_custom_property, int_value, double_value, string_value, byte_value, proto_value,
    bool_value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: execution
SELECT * FROM Execution ORDER BY id;

-- name: execution_properties
SELECT * FROM ExecutionProperty ORDER BY execution_id, is_custom_property, name;

-- name: add_execution_property
INSERT INTO ExecutionProperty (
    execution_id, name, is_custom_property, int_value, double_value, string_value, byte_value, proto_value,
    bool_value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: context
SELECT * FROM Context ORDER BY id;

-- name: context_properties
SELECT * FROM ContextProperty ORDER BY context_id, is_custom_property, name;

-- name: add_context_property
INSERT INTO ContextProperty (
    context_id, name, is_custom_property, int_value, double_value, string_value, byte_value, proto_value,
    bool_value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: type
SELECT * FROM Type ORDER BY id;

-- name: type_properties
SELECT * FROM TypeProperty ORDER BY type_id, name;

-- name: parent_types
SELECT * FROM ParentType ORDER BY type_id, parent_type_id;

-- name: events
SELECT * FROM Event ORDER BY id;

-- name: event_paths
SELECT * FROM EventPath ORDER BY rowid;

-- name: parents
SELECT * FROM ParentContext ORDER BY context_id, parent_context_id;

-- name: associations
SELECT * FROM Association ORDER BY id;

-- name: attributions
SELECT * FROM Attribution ORDER BY id;

-- name: add_type
INSERT INTO Type (id, name, version, type_kind, description, external_id) VALUES (?, ?, ?, ?, ?, ?);

-- name: add_type_property
INSERT INTO TypeProperty (type_id, name, data_type) VALUES (?, ?, ?);

-- name: add_parent_type
INSERT INTO ParentType (type_id, parent_type_id) VALUES (?, ?);

-- name: add_artifact
INSERT INTO Artifact (
    id, type_id, name, external_id, create_time_since_epoch, last_update_time_since_epoch, uri, state
) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_execution
INSERT INTO Execution (
    id, type_id, name, external_id, create_time_since_epoch, last_update_time_since_epoch,
    last_known_state
) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_context
INSERT INTO Context (
    id, type_id, name, external_id, create_time_since_epoch, last_update_time_since_epoch
) VALUES (?, ?, ?, ?, ?, ?);

-- name: add_event
INSERT INTO Event (id, artifact_id, execution_id, type, milliseconds_since_epoch) VALUES (?, ?, ?, ?, ?);

-- name: add_event_path
INSERT INTO EventPath (event_id, is_index_step, step_index, step_key) VALUES (?, ?, ?, ?);

-- name: add_parent
INSERT INTO ParentContext (context_id, parent_context_id) VALUES (?, ?);

-- name: add_association
INSERT INTO Association (context_id, execution_id) VALUES (?, ?);

-- name: add_attribution
INSERT INTO Attribution (context_id, artifact_id) VALUES (?, ?);
