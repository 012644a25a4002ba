"""The test itself: clients enter rooms, publish in turn at a steady rate, and count what arrives when."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtserver.bench.client import Address, Client, Refused, connect
from rtserver.bench.latency import Latencies

CONNECTING_AT_ONCE = 32
CONNECT_TIMEOUT = 15.0
DRAIN = 2.0
MARK = b'"message":"rtbench '
"""How our own messages start; after it, the time they were due in hexadecimal nanoseconds."""

Progress = Callable[[float], None]


class CannotConnect(Exception):
    """No test without clients."""


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    address: Address
    clients: int
    rooms: int
    rate: float
    seconds: float
    size: int = 64
    token: str | None = None


@dataclass
class Outcome:
    """What was measured."""

    plan: Plan
    connected_in: float = 0.0
    publishing_for: float = 0.0
    published: int = 0
    accepted: int = 0
    expected: int = 0
    delivered: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    delivery: Latencies = field(default_factory=Latencies)
    ack: Latencies = field(default_factory=Latencies)

    @property
    def under_way(self) -> bool:
        """Say whether acknowledgements or deliveries are still to come."""
        return self.ack.count < self.published or self.missing > 0

    @property
    def missing(self) -> int:
        """Return the deliveries that never came."""
        return max(0, self.expected - self.delivered)


async def run(plan: Plan, progress: Progress) -> Outcome:
    """Run the test; `progress` hears how much of its time is over."""
    outcome = Outcome(plan)
    clients: list[Client] = []
    try:
        begin = time.monotonic()
        await _connect_all(plan, outcome, clients)
        outcome.connected_in = time.monotonic() - begin
        await _publish(plan, outcome, clients, progress)
        await _drain(outcome)
        outcome.lost = sum(client.lost for client in clients)
        return outcome
    finally:
        for client in clients:
            client.close()


async def _connect_all(plan: Plan, outcome: Outcome, clients: list[Client]) -> None:
    """Connect and enter; the first client goes alone, so that a server that is not there is noticed at once."""
    clients.append(await _enter(plan, outcome, 0))
    limit = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(number: int) -> Client:
        async with limit:
            return await _enter(plan, outcome, number)

    try:
        async with asyncio.TaskGroup() as group:
            entering = [group.create_task(one(number)) for number in range(1, plan.clients)]
    except* CannotConnect as errors:
        raise errors.exceptions[0] from None
    finally:
        done = [task for task in entering if task.done() and not task.cancelled() and not task.exception()]
        clients += [task.result() for task in done]


async def _enter(plan: Plan, outcome: Outcome, number: int) -> Client:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            client = await _dial(plan, outcome)
            answer = await client.call("join", {"room": _room(plan, number)})
    except TimeoutError:
        raise CannotConnect(f"it did not answer within {CONNECT_TIMEOUT:g} s") from None
    except (OSError, Refused) as error:
        raise CannotConnect(_reason(error)) from None
    if not _is_ok(answer):
        raise CannotConnect(f"it refused to let a client join a room: {_refusal(answer)}")
    return client


async def _dial(plan: Plan, outcome: Outcome) -> Client:
    """Connect, and again when the server says that it is only too fast for it."""
    auth = {"token": plan.token} if plan.token else {}
    while True:
        try:
            return await connect(plan.address, auth, lambda packet: _heard(outcome, packet))
        except Refused as refused:
            if refused.retry_after is None:
                raise
            await asyncio.sleep(refused.retry_after)


def _heard(outcome: Outcome, packet: bytes) -> None:
    at = packet.find(MARK)
    if at >= 0:
        outcome.delivered += 1
        due = int(packet[at + len(MARK) : at + len(MARK) + 16], 16)
        outcome.delivery.add((time.monotonic_ns() - due) * 1e-9)


async def _publish(plan: Plan, outcome: Outcome, clients: list[Client], progress: Progress) -> None:
    """Publish by the clock: what is late counts from when it was due, or a slow server would look fast."""
    begin = time.monotonic()
    turns = itertools.cycle(range(len(clients)))
    members = Counter(_room(plan, number) for number in range(plan.clients))
    while (at := time.monotonic() - begin) < plan.seconds:
        while outcome.published < at * plan.rate:
            number = next(turns)
            due = begin + outcome.published / plan.rate
            _publish_one(outcome, clients[number], _room(plan, number), due, members)
        progress(at)
        await asyncio.sleep(min(0.1, max(0.0, begin + outcome.published / plan.rate - time.monotonic())))
    outcome.publishing_for = time.monotonic() - begin
    progress(plan.seconds)


def _publish_one(outcome: Outcome, client: Client, room: str, due: float, members: Counter[str]) -> None:
    def acknowledged(answer: Any) -> None:
        outcome.ack.add(time.monotonic() - due)
        if _is_ok(answer):
            outcome.accepted += 1
            outcome.expected += members[room]
        else:
            outcome.refused[_refusal(answer)] += 1

    outcome.published += 1
    text = f"rtbench {round(due * 1e9):016x}"
    client.emit("chat", {"room": room, "message": text.ljust(outcome.plan.size, "x")}, acknowledged)


async def _drain(outcome: Outcome) -> None:
    """Wait for what is still under way."""
    end = time.monotonic() + DRAIN
    while outcome.under_way and time.monotonic() < end:  # noqa: ASYNC110 - every delivery would pay for an event
        await asyncio.sleep(0.01)


def _room(plan: Plan, number: int) -> str:
    return f"bench-{number % plan.rooms}"


def _is_ok(answer: Any) -> bool:
    # A server that is not ours may acknowledge with anything, or nothing; only ours can refuse.
    return not isinstance(answer, dict) or answer.get("ok", True) is True


def _refusal(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("reason", "refused")) if isinstance(error, dict) else "refused"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
