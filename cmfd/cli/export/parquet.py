"""`cmfd export parquet`: tables as Parquet."""

from cmfd.cli.export.tables import export_tables

command = export_tables("parquet", "Parquet")
