"""OpenLineage: runs and executions as its events, with own facets beside the standard ones."""
