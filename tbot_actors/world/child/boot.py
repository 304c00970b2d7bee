"""The first thing in a worker's process: shut it in, then call what serves it. Run as a script, never imported.

The bot's own packages would bring trio and httpx with them; they are entered here as names only, and filled in when
somebody in the worker really asks one of them for something.
"""

import importlib
import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any

PACKAGE = "tbot_actors"
NICE = 10
HEAVY = ("world", "kernel", "kernel.host")


class LatePackage(ModuleType):
    """A package whose modules can be imported while its own `__init__` has not run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # The import system looks here for submodules: one that is not loaded is not a name of the package.
        package = self.__name__
        real = importlib.util.spec_from_file_location(
            package, f"{self.__path__[0]}/__init__.py", submodule_search_locations=list(self.__path__)
        )
        assert real is not None
        assert real.loader is not None
        self.__class__ = ModuleType  # type: ignore[assignment]
        real.loader.exec_module(self)
        return getattr(self, name)


def enter_late(root: str) -> None:
    """Make the heavy packages importable without their weight."""
    importlib.import_module(PACKAGE)
    for name in HEAVY:
        package = LatePackage(f"{PACKAGE}.{name}")
        package.__path__ = ["/".join((root, PACKAGE, *name.split(".")))]
        sys.modules[package.__name__] = package


def main() -> None:
    """See the module. `sys.argv[1]` is what world/workers.py writes."""
    order = json.loads(sys.argv[1])
    sys.path[:] = [*order["path"], order["root"]]
    enter_late(order["root"])
    fence = importlib.import_module(f"{PACKAGE}.world.child.fence")
    wire = importlib.import_module(f"{PACKAGE}.world.child.wire")
    # Where there is not enough processor for both, the bot's own loop goes first.
    os.nice(NICE)
    try:
        fence.die_with(order["parent"])
    except OSError:
        # No Linux: the end of the wire still ends it, and the report says so.
        if os.getppid() != order["parent"]:
            return
    module, _, function = order["serve"].partition(":")
    serve = getattr(importlib.import_module(module), function)
    sys.path[:] = order["path"]
    report = fence.FenceReport()
    if order["fenced"]:
        report = fence.raise_fence(order["readable"], order["memory_max_bytes"], order["parent"])
    serve(wire.Wire(*order["wire"]), report)


if __name__ == "__main__":
    main()
