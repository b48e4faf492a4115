"""`CmfQuery`."""

from cmfd.compat.query import CmfQuery

__all__ = ["CmfQuery"]
