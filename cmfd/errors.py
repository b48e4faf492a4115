"""
Every error that cmfd raises, and the exit code each gives a command.

An error says what happened, what was kept and what to do next. Exit codes are
distinct so that a job script can act on them; 2 is left to usage errors.
"""

from __future__ import annotations


class CmfdError(Exception):
    """
    Base of every error of cmfd.

    Attributes
    ----------
    exit_code : int
        What a command exits with when this error ends it.
    """

    exit_code = 1


class ConfigError(CmfdError):
    """A setting, an environment variable or a path cannot be used."""

    exit_code = 3


class NotFoundError(CmfdError):
    """No run, metric, pack or site goes by the name that was asked for."""

    exit_code = 4


class JournalError(CmfdError):
    """A journal cannot be written or read; what it already holds is kept."""

    exit_code = 5


class WireError(CmfdError):
    """A message breaks the protocol; nothing of it was stored."""

    exit_code = 6


class DaemonUnavailableError(CmfdError):
    """No daemon answers on this node; journals keep what was logged."""

    exit_code = 7


class StoreError(CmfdError):
    """A database cannot be used as it is; it was left unchanged."""

    exit_code = 8


class SchemaTooNewError(StoreError):
    """A database was written by a newer cmfd; it was left unchanged."""

    exit_code = 9


class PackError(StoreError):
    """A pack is corrupt, truncated or foreign; nothing of it was merged."""

    exit_code = 10


class SiteBusyError(CmfdError):
    """Another merger holds the site; packs stay in the inbox for it."""

    exit_code = 11


class IncompleteError(CmfdError):
    """A command did its work but had to leave something out; it says what."""

    exit_code = 12


class DaemonRunningError(CmfdError):
    """Another daemon serves this node directory; it was left alone."""

    exit_code = 13


class SlurmError(CmfdError):
    """A command of SLURM failed, or said what cannot be read; nothing was changed."""

    exit_code = 14


class ContentError(CmfdError):
    """Content cannot be identified in the way that was asked for; it is as it was."""

    exit_code = 15


class FilterError(CmfdError):
    """A filter cannot be understood; it says where, and what would be."""

    exit_code = 16


class NotSeenError(CmfdError):
    """No execution did exactly this before."""

    exit_code = 17


class DvcError(CmfdError):
    """A command of DVC failed, or one of its files cannot be read; what was recorded is kept."""

    exit_code = 18


class RemoteError(CmfdError):
    """Another site cannot be reached, or says what cannot be understood; both are as they were."""

    exit_code = 19


class FactorsError(CmfdError):
    """An intensity series or a factor set cannot be used; nothing of it was taken in."""

    exit_code = 20


class FormatError(CmfdError):
    """A file or an answer is not of the format that it is taken for; nothing of it was taken in."""

    exit_code = 21
