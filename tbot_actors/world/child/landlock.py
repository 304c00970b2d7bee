"""Landlock: nothing can be opened any more but what is listed, read-only (landlock(7), from Linux 5.13 on)."""

import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from tbot_actors.world.child.libc import PR_SET_NO_NEW_PRIVS, prctl, system_call

__all__ = ["restrict", "version"]

# The same numbers on every architecture.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446

_CREATE_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3

_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Rights over files known to each version, as a count of low bits; later versions know as many as the last."""

_TCP_BIND_AND_CONNECT: Final = 0b11
_SCOPE_SOCKETS_AND_SIGNALS: Final = 0b11


def version() -> int:
    """The version this kernel speaks. Raises OSError where it has none, or none that is switched on."""
    return system_call(_CREATE_RULESET, None, 0, _CREATE_VERSION)


def restrict(readable: Iterable[str]) -> int:
    """Allow reading these files, and everything in these folders; nothing else. Returns the version. Raises OSError.

    From version 4 on TCP is barred as well, from 6 on abstract sockets of, and signals to, processes outside.
    """
    spoken = version()
    rights = (1 << _FILE_RIGHTS[min(spoken, max(_FILE_RIGHTS))]) - 1
    size = 8 if spoken < 4 else 16 if spoken < 6 else 24
    wanted = struct.pack("=QQQ", rights, _TCP_BIND_AND_CONNECT, _SCOPE_SOCKETS_AND_SIGNALS)[:size]
    ruleset = system_call(_CREATE_RULESET, wanted, size, 0)
    try:
        for path in readable:
            _allow(ruleset, path)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return spoken


def _allow(ruleset: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # What is not there, or not for us, needs no permission.
        return
    try:
        folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR if folder else _READ_FILE, opened)
        system_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)
