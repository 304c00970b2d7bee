"""Seccomp: system calls that a worker has no business with fail with EPERM (seccomp(2)).

A list of what is refused, not of what is allowed: a strategy may use any library that computes. Refused is what reaches
another process, the network, the machine's settings, or would start a process that outlives this one.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Final

from tbot_actors.world.child.libc import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_SET_SECCOMP, prctl

__all__ = ["refuse_the_outside"]

_MODE_FILTER: Final = 2
_CLONE_THREAD: Final = 0x00010000

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_SET: Final = 0x45
_RETURN: Final = 0x06

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_FIRST_ARGUMENT_AT: Final = 16
"""Low half, on a little-endian machine; both below are."""

_X32: Final = 0x40000000
"""The second set of numbers of an x86-64 kernel."""

_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH, and the column of the table below."""

# Numbers of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; None: there is no such call.
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    # The network. A socketpair reaches nobody.
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "bind": (49, 200),
    "listen": (50, 201), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # Other programs and processes.
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157),
    "setpgid": (109, 154), "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "perf_event_open": (298, 241), "setpriority": (141, 140),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    # Namespaces, mounts, ways to files around their paths.
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41), "mount": (165, 40),
    "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # The machine.
    "bpf": (321, 280), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "quotactl": (179, 60), "syslog": (103, 116), "personality": (135, 92), "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip

_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_PRCTL: Final = (157, 167)
_TGKILL: Final = (234, 131)
_PRLIMIT: Final = (302, 261)


Line = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value: one instruction of the filter."""


def refuse_the_outside() -> int:
    """Install the filter, for all threads to come too; returns how many calls it refuses. Raises OSError."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    lines = _program(*_ARCHITECTURES[machine], os.getpid())
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(instructions)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
    return len(_REFUSED)


def _program(architecture: int, column: int, own_pid: int) -> list[Line]:
    refused = [numbers[column] for numbers in _REFUSED.values()]
    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, architecture),
        _returning(_KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        _returning(_KILL),
    ]
    for number in refused:
        if number is not None:
            lines += [(_JUMP_EQUAL, 0, 1, number), _returning(_ERRNO | errno.EPERM)]
    # glibc falls back to clone, whose flags a filter can see.
    lines += [(_JUMP_EQUAL, 0, 1, _CLONE3[column]), _returning(_ERRNO | errno.ENOSYS)]
    # Threads, no processes.
    lines += _unless(_CLONE[column], (_JUMP_SET, 1, 0, _CLONE_THREAD))
    # abort() signals its own process.
    lines += _unless(_TGKILL[column], (_JUMP_EQUAL, 1, 0, own_pid))
    lines += _unless(_PRLIMIT[column], (_JUMP_EQUAL, 1, 0, 0))
    # Outliving its parent takes switching this off.
    lines += _unless(_PRCTL[column], (_JUMP_EQUAL, 0, 1, PR_SET_PDEATHSIG))
    return [*lines, _returning(_ALLOW)]


def _unless(number: int, allowed: Line) -> list[Line]:
    """Refuse the call, unless a test of its first argument jumps over the refusal."""
    return [
        (_JUMP_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        allowed,
        _returning(_ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]


def _returning(what: int) -> Line:
    return (_RETURN, 0, 0, what)
