"""A site's index in PostgreSQL: the same statements, tables and answers as in SQLite."""

from cmfd.errors import ConfigError

try:
    import psycopg  # noqa: F401 - all modules here need it, and say so in this one place
except ImportError as missing:  # an extra of the installation
    raise ConfigError(
        "An index in PostgreSQL needs psycopg, which is not installed here;"
        " nothing was changed. Install it: pip install 'cmfd[postgres]'"
    ) from missing
