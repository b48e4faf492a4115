"""Answers as tables, JSON and CSV."""
