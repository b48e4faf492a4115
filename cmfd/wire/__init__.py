"""The written formats between processes: journals, records and messages."""
