"""Finding a strategy class by its name in the library, or in a user's file outside the package."""

import importlib
import importlib.util
import sys
from types import ModuleType

from tbot_actors.strategies.api import Strategy

LIBRARY = {
    "momentum": "tbot_actors.strategies.library.momentum:Momentum",
    "quoter": "tbot_actors.strategies.library.quoter:Quoter",
}


class StrategyNotFound(ValueError):
    """The configured type leads to no strategy; the text says what is there."""


def load_strategy(kind: str) -> type[Strategy]:
    """The strategy class of a library name or of `path/to/file.py:ClassName`. Raises StrategyNotFound."""
    where, _, name = LIBRARY.get(kind, kind).rpartition(":")
    if not where or not name:
        raise StrategyNotFound(f"{kind!r} is no strategy: use one of {', '.join(LIBRARY)} or path/to/file.py:ClassName")
    found = getattr(_module(where), name, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise StrategyNotFound(f"{where} has no class {name!r} that is a Strategy")
    if not isinstance(getattr(found, "Params", None), type):
        raise StrategyNotFound(f"{kind} has no Params: a frozen attrs class, empty where there is nothing to set")
    return found


def _module(where: str) -> ModuleType:
    if where in {known.rpartition(":")[0] for known in LIBRARY.values()}:
        return importlib.import_module(where)
    if not where.endswith(".py"):
        raise StrategyNotFound(f"{where!r} is no Python file: write path/to/file.py:ClassName")
    name = f"tbot_user_strategy:{where}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None and spec.loader is not None, f"{where} ends in .py"
    # Known by its name before it runs: annotations written as texts are looked up there.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        missing = isinstance(error, FileNotFoundError) and error.filename == spec.origin
        why = "does not exist" if missing else f"cannot be loaded: {type(error).__name__}: {error}"
        raise StrategyNotFound(f"{where} {why}") from error
    return module
