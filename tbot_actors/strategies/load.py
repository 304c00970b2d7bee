"""Finding a strategy class by its name in the library or by a user's file, and making it with checked parameters."""

import importlib
import importlib.util
from typing import Any

import cattrs

from tbot_actors.strategies.api import Strategy

LIBRARY = {
    "momentum": "tbot_actors.strategies.library.momentum:Momentum",
    "quoter": "tbot_actors.strategies.library.quoter:Quoter",
}


class StrategyNotFound(ValueError):
    """The configured type leads to no strategy; the text says what is there."""


def load_strategy(kind: str) -> type[Strategy]:
    """The strategy class of a library name or of `path/to/file.py:ClassName`. Raises StrategyNotFound."""
    where, _, name = LIBRARY.get(kind, kind).partition(":")
    if not name:
        raise StrategyNotFound(f"{kind!r} is no strategy: use one of {', '.join(LIBRARY)} or path/to/file.py:ClassName")
    found = getattr(_module(where), name, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise StrategyNotFound(f"{where} has no Strategy class {name!r}")
    return found


def read_params(strategy: type[Strategy], params: dict[str, Any], converter: cattrs.Converter) -> Any:
    """The parameters as the strategy's own class. Raises cattrs' errors with every wrong key in them."""
    return converter.structure(params, strategy.Params)


def _module(where: str) -> Any:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    spec = importlib.util.spec_from_file_location("tbot_user_strategy", where)
    if spec is None or spec.loader is None:
        raise StrategyNotFound(f"{where} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError:
        raise StrategyNotFound(f"{where} does not exist") from None
    return module
