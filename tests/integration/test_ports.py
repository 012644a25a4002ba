"""Ports for what tests start."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests import ports
from tests.ports import BLOCK, FIRST, Ports


@pytest.fixture
def two() -> Iterator[contextlib.ExitStack]:
    """Closes what a test made."""
    with contextlib.ExitStack() as stack:
        yield stack


def made(stack: contextlib.ExitStack) -> Ports:
    """A block of ports."""
    one = Ports()
    stack.callback(one.close)
    return one


def test_nobody_gets_the_ports_of_others(two: contextlib.ExitStack) -> None:
    """Two holders never get the same port, however many they take."""
    one, other = made(two), made(two)
    assert not {one.take() for _ in range(BLOCK)} & {other.take() for _ in range(BLOCK)}


def test_a_port_that_somebody_listens_on(two: contextlib.ExitStack) -> None:
    """A port where somebody listens is passed over, and the others come in turn."""
    one = made(two)
    first = one.take()
    with socket.create_server(("127.0.0.1", first)):
        taken = [one.take() for _ in range(BLOCK - 1)]
    assert first not in taken
    assert len(set(taken)) == BLOCK - 2


def test_all_blocks_are_taken(two: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no block left that is said, with what may be the cause."""
    monkeypatch.setattr(ports, "LAST", FIRST)
    with pytest.raises(RuntimeError, match="left over"):
        made(two)
