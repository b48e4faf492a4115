"""CMF: its JSON of pipelines, and its server."""
