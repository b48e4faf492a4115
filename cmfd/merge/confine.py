"""
Rights that a process gives up for ever, as an ordinary user can, before it reads what may hurt.

It may gain none by what it starts; where the kernel has Landlock, write nothing, signal nobody and
read only what it is there for; where it filters system calls, start nothing and make no socket, be
it for a network or for this machine. A kernel that lacks some of it does without: what is read is
checked all the same.

A network namespace of its own would add nothing to that, and is not every user's to make.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

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


# linux/seccomp.h and linux/bpf_common.h: load a word, jump if it is equal or no less, return.
_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _NO_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
_AT_NUMBER, _AT_MACHINE = 0, 4
_OTHER_NUMBERS = 0x40000000
"""From here on, system calls have other numbers for programs with short addresses."""


class _Machine(NamedTuple):
    """How the kernel calls a kind of machine, and the numbers that it refuses there."""

    name: int
    refused: tuple[int, ...]


# execve, execveat, socket, socketpair, io_uring_setup
_MACHINES = {
    "x86_64": _Machine(0xC000003E, (59, 322, 41, 53, 425)),
    "aarch64": _Machine(0xC00000B7, (221, 281, 198, 199, 425)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


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
    _refuse_calls(libc)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:  # too old a kernel, or one without
        return
    rules = _Ruleset(
        (1 << max(bits for since, bits in _FILE_BITS.items() if since <= version)) - 1 & ~_READ,
        _CONNECT if version >= _SINCE_NET else 0,
        _SCOPES if version >= _SINCE_SCOPES else 0,
    )
    size = 24 if version >= _SINCE_SCOPES else 16 if version >= _SINCE_NET else 8
    _restrict(libc, rules, size, [scratch] if scratch else [])


def read_only_below(*directories: str) -> None:
    """
    Give up reading all files but those of this Python and those below some directories.

    What was given up with `confine` stays so; without it, this does nothing.
    """
    if ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION) >= 1:
        _restrict(ctypes.CDLL(None), _Ruleset(_READ), 8, {*directories, *_of_python()})


def _of_python() -> set[str]:
    """Return where what this Python may yet import is: never just a directory of its user's."""
    whole = {"/usr", "/lib", "/lib64", f"{sys.base_prefix}/lib", str(Path(os.__file__).parent)}
    whole.update(one for one in sys.path if one.endswith("-packages"))
    packages = {
        one for name, module in list(sys.modules.items())
        if "." not in name for one in getattr(module, "__path__", ())
    }  # fmt: skip
    above = tuple(f"{one}/" for one in whole)
    return whole | {one for one in packages if not one.startswith(above)}


def _restrict(
    libc: ctypes.CDLL, rules: _Ruleset, size_bytes: int, directories: Iterable[str]
) -> None:
    """Allow what is ruled below some directories, and nowhere else."""
    descriptor = libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size_bytes), 0)
    if descriptor < 0:
        return
    try:
        for directory in directories:
            _allow(libc, descriptor, rules.files, directory)
        libc.syscall(_RESTRICT, descriptor, 0)
    finally:
        os.close(descriptor)


def _refuse_calls(libc: ctypes.CDLL) -> None:
    """Have the kernel refuse what starts programs or makes sockets."""
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return
    code = _filter(machine)
    program = _Program(len(code) // 8, code)
    libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)


def _filter(machine: _Machine) -> bytes:
    """Return what the kernel runs at each call: 8 bytes a step, how far to jump if so, if not."""
    checks = [(_NO_LESS, _OTHER_NUMBERS), *((_EQUAL, number) for number in machine.refused)]
    n_left = len(checks)
    steps = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_EQUAL, 0, n_left + 2, machine.name),  # another kind: refused
        (_LOAD, 0, 0, _AT_NUMBER),
        *((how, n_left - done, 0, value) for done, (how, value) in enumerate(checks)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _allow(libc: ctypes.CDLL, rules: int, rights: int, directory: str) -> None:
    with suppress(OSError):
        there = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        try:
            beneath = _Beneath(rights, there)
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0)
        finally:
            os.close(there)
