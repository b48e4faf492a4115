"""One process per node: receives journals, commits them, seals packs."""
