"""The few calls of Linux that Python has no name for."""

import ctypes
import os
import struct
import sys
from typing import Any, Final

__all__ = ["LINUX", "prctl", "set_capabilities", "system_call", "unshare"]

LINUX: Final = sys.platform == "linux"

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000

CAP_DAC_READ_SEARCH: Final = 2
CAP_LAST: Final = 40
"""CAP_CHECKPOINT_RESTORE, the newest in Linux 6.18; dropping one that does not exist is refused, harmlessly."""

_CAPABILITY_VERSION_3: Final = 0x20080522

_libc: Any = ctypes.CDLL(None, use_errno=True) if LINUX else None


def prctl(option: int, argument: Any = 0, *more: Any) -> int:
    """prctl(2). Raises OSError; on another system than Linux as well."""
    if not LINUX:
        raise OSError("no Linux: no prctl")
    third, fourth, fifth = (*more, 0, 0, 0)[:3]
    wide = ctypes.c_ulong(argument) if isinstance(argument, int) else argument
    return _checked(_libc.prctl(option, wide, ctypes.c_ulong(third), ctypes.c_ulong(fourth), ctypes.c_ulong(fifth)))


def system_call(number: int, *arguments: Any) -> int:
    """syscall(2), for what libc does not wrap; integers go as longs. Raises OSError."""
    if not LINUX:
        raise OSError("no Linux: no system call of that number")
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide))


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    if not LINUX:
        raise OSError("no Linux: no namespaces")
    _checked(_libc.unshare(flags))


def set_capabilities(mask: int) -> None:
    """Keep these capabilities only, effective and permitted, inherited none. Raises OSError."""
    if not LINUX:
        raise OSError("no Linux: no capabilities")
    low, high = mask & 0xFFFFFFFF, mask >> 32
    # Version and process; then effective, permitted and inheritable, low halves and high halves.
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
