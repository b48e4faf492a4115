"""
Rights that a process gives up for ever, as an ordinary user can, before it reads what may hurt.

It may gain none by what it starts, and, where the kernel has Landlock, write nothing, start
nothing, connect to nothing and signal nobody. A kernel that lacks some of it does without: what is
read is checked all the same.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_NO_NEW_PRIVS = 38

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # alike on all architectures
_VERSION = 1
_PATH_BENEATH = 1

# linux/landlock.h: bits of what is done with files, and since which version there are how many.
_READ = 1 << 2 | 1 << 3
_FILE_BITS = {1: 13, 2: 14, 3: 15, 5: 16}
_CONNECT = 0b11
_SCOPES = 0b11
_SINCE_NET, _SINCE_SCOPES = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def confine(scratch: str = "") -> None:
    """
    Give up what reading a file does not need.

    Parameters
    ----------
    scratch : str
        A directory that may be written below all the same; empty: none.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:  # too old a kernel, or one without
        return
    rules = _Ruleset(
        (1 << max(bits for since, bits in _FILE_BITS.items() if since <= version)) - 1 & ~_READ,
        _CONNECT if version >= _SINCE_NET else 0,
        _SCOPES if version >= _SINCE_SCOPES else 0,
    )
    size = 24 if version >= _SINCE_SCOPES else 16 if version >= _SINCE_NET else 8
    descriptor = libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if descriptor < 0:
        return
    try:
        if scratch:
            _allow(libc, descriptor, rules.files, scratch)
        libc.syscall(_RESTRICT, descriptor, 0)
    finally:
        os.close(descriptor)


def _allow(libc: ctypes.CDLL, rules: int, rights: int, directory: str) -> None:
    with suppress(OSError):
        there = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        try:
            beneath = _Beneath(rights, there)
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0)
        finally:
            os.close(there)
