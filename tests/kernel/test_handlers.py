"""The table of handlers, built when an actor class is defined."""

from __future__ import annotations

import pytest
from attrs import frozen

from tbot_actors.kernel import BLOCK, DROP_OLDEST, Actor, handles


@frozen
class Ping:
    pass


@frozen
class Pong:
    pass


class Parent(Actor):
    @handles(Ping)
    async def on_ping(self, message: Ping) -> str:
        return "parent"


def test_a_subclass_inherits_handlers_and_adds_its_own() -> None:
    class Subclass(Parent):
        @handles(Pong, DROP_OLDEST, room=3)
        async def on_pong(self, message: Pong) -> None:
            pass

    assert set(Subclass.handlers) == {Ping, Pong}
    assert set(Parent.handlers) == {Ping}
    assert Subclass.handlers[Pong].room == 3
    assert Subclass.handlers[Ping].policy is BLOCK


def test_a_redefined_method_replaces_the_inherited_one_with_or_without_the_decorator() -> None:
    class Subclass(Parent):
        async def on_ping(self, message: Ping) -> str:
            return "child"

    assert Subclass.handlers[Ping].handler is Subclass.on_ping


def test_two_handlers_for_one_type_are_an_error_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match="first and second both handle Ping"):

        class Torn(Actor):
            @handles(Ping)
            async def first(self, message: Ping) -> None:
                pass

            @handles(Ping)
            async def second(self, message: Ping) -> None:
                pass


def test_a_handler_must_be_async() -> None:
    with pytest.raises(TypeError, match="must be an `async def`"):

        @handles(Ping)  # type: ignore[type-var]
        def on_ping(self: object, message: Ping) -> None:
            pass


def test_one_method_may_handle_several_types() -> None:
    class Both(Actor):
        @handles(Ping)
        @handles(Pong)
        async def on_either(self, message: Ping | Pong) -> None:
            pass

    assert set(Both.handlers) == {Ping, Pong}


@pytest.mark.parametrize("room", [0, -1])
def test_room_must_be_positive(room: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        handles(Ping, room=room)
