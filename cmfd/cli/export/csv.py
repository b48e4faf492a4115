"""`cmfd export csv`: tables as CSV."""

from cmfd.cli.export.tables import export_tables

command = export_tables("csv", "CSV")
