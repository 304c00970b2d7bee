"""The doors: clock, network, disk, files, processes, entropy. The only code that touches the outside.

Every room is handed a `World` and reaches nothing else; the real one is `real_world(hosts=…)`.
"""

from tbot_actors.world.canary import EXIT_BLOCKED, Blocked, canary
from tbot_actors.world.child.fence import Fence, FenceReport, Measure
from tbot_actors.world.clock import Clock, SystemClock, TrioClock
from tbot_actors.world.disk import CommitUnknown, Database, DatabaseCorrupt, Disk, DiskFailure, DiskFull
from tbot_actors.world.entropy import Entropy, Random, SeededEntropy, system_entropy
from tbot_actors.world.files import FileLock, Files, SystemFiles
from tbot_actors.world.http import HttpClient, HttpResponse
from tbot_actors.world.log_file import LogFile
from tbot_actors.world.net import (
    HostNotAllowed,
    Interrupted,
    Listening,
    ListeningStatistics,
    Net,
    NetFailure,
    NotSent,
    PortInUse,
    SystemNet,
)
from tbot_actors.world.outlet import Outlet
from tbot_actors.world.processes import LineReader, Output, Process, Processes, SystemProcesses, signals
from tbot_actors.world.slots import SlotFile, SlotsUnreadable
from tbot_actors.world.sqlite import SqliteDatabase, SystemDisk
from tbot_actors.world.websocket import (
    WebSocket,
    WebSocketClosed,
    WebSocketRejected,
    accept_websocket,
    connect_websocket,
    serve_websocket,
)
from tbot_actors.world.workers import WorkerProcess, WorkerProgram
from tbot_actors.world.world import World, real_world

__all__ = [
    "World",
    "real_world",
    "Clock",
    "SystemClock",
    "TrioClock",
    "Entropy",
    "Random",
    "SeededEntropy",
    "system_entropy",
    "Net",
    "SystemNet",
    "Listening",
    "ListeningStatistics",
    "NetFailure",
    "NotSent",
    "Interrupted",
    "HostNotAllowed",
    "PortInUse",
    "HttpClient",
    "HttpResponse",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRejected",
    "connect_websocket",
    "accept_websocket",
    "serve_websocket",
    "Disk",
    "SystemDisk",
    "Database",
    "SqliteDatabase",
    "DiskFailure",
    "DiskFull",
    "CommitUnknown",
    "DatabaseCorrupt",
    "Files",
    "SystemFiles",
    "FileLock",
    "LogFile",
    "SlotFile",
    "SlotsUnreadable",
    "Processes",
    "SystemProcesses",
    "Process",
    "LineReader",
    "Outlet",
    "Output",
    "signals",
    "canary",
    "Blocked",
    "EXIT_BLOCKED",
    "WorkerProcess",
    "WorkerProgram",
    "Fence",
    "FenceReport",
    "Measure",
]
