"""A site's index in PostgreSQL: the same statements, tables and answers as in SQLite."""
