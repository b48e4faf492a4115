"""`cmfd export arrow`: tables as Arrow files."""

from cmfd.cli.export.tables import export_tables

command = export_tables("arrow", "Arrow files")
