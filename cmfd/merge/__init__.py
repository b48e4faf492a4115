"""Packs into a site repository: a set union, one transaction each."""
