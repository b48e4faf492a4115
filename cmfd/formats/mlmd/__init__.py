"""ML Metadata: types, contexts, executions, artifacts and events, as CMF and others keep them."""
