"""Node stores, packs and the site index: SQLite with its SQL in files."""
