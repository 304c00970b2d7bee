"""From a TOML document to settings classes, with every wrong key named at once.

attrs runs validators only when all types are right, and one wrong key would hide the next; so each field is structured
and checked by itself, what a class says of its fields together is asked even while some of them are wrong, and all
problems are collected with their paths.
"""

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import attrs
import cattrs
from attrs import frozen

from tbot_actors.domain.money import to_decimal


@frozen
class Problem:
    """One wrong key."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class Problems(ValueError):
    """Everything wrong with a document, or with a part of it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def make_converter() -> cattrs.Converter:
    """A strict converter: no guessing of types, Decimals exact, unknown keys refused."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook_factory(
        attrs.has, lambda cls: lambda value, _: _structure_class(converter, value, cls)
    )
    converter.register_structure_hook_func(_is_table, lambda v, t: _structure_table(converter, v, t))
    converter.register_structure_hook_func(_is_list, lambda v, t: _structure_list(converter, v, t))
    converter.register_structure_hook_func(_is_optional, lambda v, t: converter.structure(v, _inner(t)))
    converter.register_structure_hook_func(_is_enum, _structure_enum)
    for kind, wanted in ((bool, "true or false"), (int, "a whole number"), (str, "a text in quotes")):
        converter.register_structure_hook(kind, _exactly(kind, wanted))
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook(Decimal, _structure_decimal)
    converter.register_structure_hook(Path, lambda value, _: Path(converter.structure(value, str)))
    return converter


def _structure_class(converter: cattrs.Converter, value: Any, cls: type) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {value!r}")
    fields = {field.name: field for field in attrs.fields(attrs.resolve_types(cls))}
    problems = [Problem(key, _unknown(key, fields)) for key in value if key not in fields]
    taken: dict[str, Any] = {}
    wrong: set[str] = set()
    for name, field in fields.items():
        if name not in value:
            if field.default is attrs.NOTHING:
                wrong.add(name)
                problems.append(Problem(name, "is missing and has no default"))
            continue
        try:
            taken[name] = converter.structure(value[name], field.type)
            if field.validator is not None:
                field.validator(None, field, taken[name])
        except (ValueError, TypeError) as error:
            wrong.add(name)
            problems += _under(name, error)
    if problems:
        raise Problems([*problems, *_together(cls, taken, wrong)])
    return cls(**taken)


def _together(cls: type, taken: Mapping[str, Any], wrong: Collection[str]) -> list[Problem]:
    """What the class says of its fields together, those apart that are wrong by themselves.

    These stay unset, so that a check which looks at one of them ends there, instead of judging by a value that nobody
    chose.
    """
    check = getattr(cls, "__attrs_post_init__", None)
    if check is None:
        return []
    half: Any = object.__new__(cls)
    for field in attrs.fields(cls):
        if field.name not in wrong:
            object.__setattr__(half, field.name, taken[field.name] if field.name in taken else _default(field))
    try:
        check(half)
    except AttributeError:
        return []
    except (ValueError, TypeError) as error:
        return _under("", error)
    return []


def _default(field: "attrs.Attribute[Any]") -> Any:
    make = getattr(field.default, "factory", None)
    return field.default if make is None else make()


def _structure_table(converter: cattrs.Converter, value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {value!r}")
    return dict(_each(converter, value.items(), get_args(kind)[1]))


def _structure_list(converter: cattrs.Converter, value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, got {value!r}")
    return tuple(item for _, item in _each(converter, enumerate(value), get_args(kind)[0]))


def _each(converter: cattrs.Converter, items: Iterable[tuple[Any, Any]], kind: Any) -> list[tuple[Any, Any]]:
    taken, problems = [], []
    for name, item in items:
        try:
            taken.append((name, item if kind is Any else converter.structure(item, kind)))
        except (ValueError, TypeError) as error:
            problems += _under(str(name), error)
    if problems:
        raise Problems(problems)
    return taken


def _under(name: str, error: Exception) -> list[Problem]:
    if isinstance(error, Problems):
        return [
            Problem(".".join(part for part in (name, problem.path) if part), problem.text) for problem in error.problems
        ]
    # attrs' own validators put the whole field definition behind the sentence; a person wants the sentence.
    return [Problem(name, str(error.args[0] if error.args else error))]


def _unknown(key: str, fields: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(fields), 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"is no setting here: {hint}allowed are {', '.join(sorted(fields))}"


def _is_table(kind: Any) -> bool:
    return get_origin(kind) is dict


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind)


def _inner(kind: Any) -> Any:
    (inner,) = (part for part in get_args(kind) if part is not type(None))
    return inner


def _structure_enum(value: Any, kind: type[Enum]) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(repr(item.value) for item in kind)}, got {value!r}") from None


def _exactly(kind: type, wanted: str) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"must be {wanted}, got {value!r}")
        return value

    return structure


def _structure_float(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"must be a number, got {value!r}")
    return float(value)


def _structure_decimal(value: Any, _: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be a number or a number in quotes, got {value!r}")
    return to_decimal(value)
