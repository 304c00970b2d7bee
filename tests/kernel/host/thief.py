"""A hostile worker: each theft says what it got, or raises OSError."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import Any

import msgspec

from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers


class Steal(msgspec.Struct, frozen=True):
    what: str
    where: str = ""


class Loot(msgspec.Struct, frozen=True):
    got: str


STEALING = Vocabulary(Steal, Loot)

libc = ctypes.CDLL(None, use_errno=True)


class Thief(Worker):
    vocabulary = STEALING

    @answers(Steal)
    def on_steal(self, steal: Steal) -> Loot:
        try:
            return Loot(f"{getattr(self, steal.what)(steal.where)}")
        except OSError as error:
            return Loot(f"refused: {error}")

    def environment_of_parent(self, _where: str) -> Any:
        with open(f"/proc/{os.getppid()}/environ", "rb") as environment:
            return len(environment.read())

    def memory_of_parent(self, where: str) -> Any:
        with open(f"/proc/{os.getppid()}/mem", "rb", buffering=0) as memory:
            memory.seek(int(where))
            return memory.read(16)

    def memory_by_call(self, where: str) -> Any:
        taken = ctypes.create_string_buffer(16)
        here = struct.pack("@PN", ctypes.addressof(taken), 16)
        there = struct.pack("@PN", int(where), 16)
        return _checked(libc.process_vm_readv(os.getppid(), here, 1, there, 1, 0))

    def trace_parent(self, _where: str) -> Any:
        # PTRACE_SEIZE does not stop it.
        return _checked(libc.ptrace(0x4206, os.getppid(), None, None))

    def file(self, where: str) -> Any:
        with open(where, "rb") as stolen:
            return stolen.read()

    def folder(self, where: str) -> Any:
        return os.listdir(where)

    def written_file(self, where: str) -> Any:
        with open(where, "wb") as made:
            return made.write(b"mine")

    def control_socket(self, where: str) -> Any:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(where)
            return "connected"

    def abstract_socket(self, where: str) -> Any:
        return self.control_socket(f"\0{where}")

    def loopback(self, where: str) -> Any:
        with socket.create_connection(("127.0.0.1", int(where)), timeout=5):
            return "connected"

    def datagram(self, _where: str) -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            return client.sendto(b"secrets", ("192.0.2.1", 53))

    def signal_parent(self, _where: str) -> Any:
        return os.kill(os.getppid(), signal.SIGCONT)

    def slow_parent(self, _where: str) -> Any:
        return os.setpriority(os.PRIO_PROCESS, os.getppid(), 10)

    def program(self, _where: str) -> Any:
        return subprocess.run([sys.executable, "-c", ""], check=False).returncode

    def process(self, _where: str) -> Any:
        child = os.fork()
        if child == 0:
            os._exit(0)
        return os.waitpid(child, 0)

    def become_root(self, _where: str) -> Any:
        return os.setuid(0)

    def outlive(self, _where: str) -> Any:
        """Takes off whatever ties it to its parent; says what it could not."""
        kept = []
        for name, attempt in (
            ("death signal", lambda: _checked(libc.prctl(1, 0, 0, 0, 0))),
            ("group", os.setsid),
            ("process", self._leave_a_child),
        ):
            try:
                attempt()
            except OSError as error:
                kept.append(f"{name}: {error}")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        return f"refused: {', '.join(kept)}" if len(kept) == 3 else f"kept {kept}"

    def outlive_and_spin(self, where: str) -> Any:
        self.outlive(where)
        print("spinning", os.getpid(), flush=True)
        while True:
            pass

    def _leave_a_child(self) -> None:
        if os.fork() == 0:
            os.setsid()
            signal.pause()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
