"""The one command with which backends publish, whichever way they come: check, publish, answer.

HTTP, Kafka and PostgreSQL all end here. What a publication does is the node's business, as it is for clients.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from rtserver.idempotency import Idempotency
from rtserver.node import Node
from rtserver.protocol import messages
from rtserver.protocol.errors import BAD_REQUEST, NOT_FOUND, SERVER_ERROR, RtError
from rtserver.protocol.publish import MAX_BATCH, Publish
from rtserver.publisher import ABSENT, Published
from rtserver.telemetry.log import logger
from rtserver.webhooks.journal import Receipt

_log = logger("publishing")

# How long an idempotency key is remembered, in seconds, and how many of them.
WINDOW = 300.0
MAX_KEYS = 100_000

# After so many publications and deliveries in a row a batch lets others have their turn.
_TURN = 500


class Accepted(NamedTuple):
    """A publication that was delivered; *receipt*, if any, says whether webhooks are sure to tell of it."""

    id: str
    offset: int
    recipients: int
    receipt: Receipt | None

    def body(self) -> dict[str, Any]:
        """Return the answer."""
        return {"id": self.id, "offset": self.offset, "recipients": self.recipients}


class Publishing:
    """Publishes what backends ask for. *message_size* bounds message and data together, in bytes."""

    def __init__(self, node: Node, message_size: int) -> None:
        self._node = node
        self._message_size = message_size
        self._keys: Idempotency[Accepted] = Idempotency(WINDOW, MAX_KEYS, self._forget)

    async def publish(self, request: Publish) -> dict[str, Any]:
        """Publish; return ``{id, offset, recipients}`` once webhooks are sure to tell of it.

        Raises `RtError`, which the entrance counts: ``message_too_large``; ``not_found`` for an unknown sid;
        ``server_error`` when it was delivered and could not be recorded for webhooks.
        """
        return await _settled(await self._begin(request))

    async def begin(self, payload: Any) -> Accepted:
        """Publish what `Publish` is made of; return once it is delivered, whether or not webhooks are sure of it yet.

        For streams, which wait for many at once. Raises `RtError` as `publish` does, and for a bad payload.
        """
        return await self._begin(messages.parse(Publish, payload))

    async def batch(self, payloads: Sequence[Any]) -> list[dict[str, Any]]:
        """Publish one after the other, in this order; return the results in the same.

        Each of *payloads* is what `Publish` is made of. One that fails has ``{"error": {code, reason, message}}`` for
        its result and keeps none of the others back. Raises `RtError` for more than `MAX_BATCH` of them.
        """
        if len(payloads) > MAX_BATCH:
            raise RtError(
                BAD_REQUEST, f"publications: {len(payloads)} are more than {MAX_BATCH}, the most allowed"
            )
        begun: list[Accepted | RtError] = []
        work = 0
        for payload in payloads:
            begun.append(await self._try(payload))
            work += 1 + (begun[-1].recipients if isinstance(begun[-1], Accepted) else 0)
            if work >= _TURN:
                work = 0
                await asyncio.sleep(0)
        # All of them share one wait for their commit.
        return [await self._result(one) for one in begun]

    async def _try(self, payload: Any) -> Accepted | RtError:
        try:
            return await self.begin(payload)
        except RtError as error:
            return error
        except Exception:
            _log.exception("a publication of a batch failed")
            return RtError(SERVER_ERROR, "the server failed")

    async def _result(self, begun: Accepted | RtError) -> dict[str, Any]:
        try:
            if isinstance(begun, RtError):
                raise begun
            return await _settled(begun)
        except RtError as error:
            self._node.metrics.refused[error.reason.reason] += 1
            return {"error": error.body()}

    async def _begin(self, request: Publish) -> Accepted:
        request.check_size(self._message_size)
        if request.idempotency_key is None:
            return await self._publish(request)
        return await self._keys.once(
            request.idempotency_key, time.monotonic(), lambda: self._publish(request)
        )

    async def _publish(self, request: Publish) -> Accepted:
        done = await self._say(request)
        return Accepted(done.id, done.offset, done.recipients, done.receipt)

    async def _say(self, request: Publish) -> Published:
        node, (kind, name) = self._node, request.target
        event, message, skip = request.event, request.message, frozenset(request.skip or ())
        data = request.data if "data" in request.model_fields_set else ABSENT
        if kind == "room":
            return await node.say(name, event, message, data, skip=skip)
        if kind == "all":
            return await node.say(None, event, message, data, skip=skip)
        if kind == "user":
            return await node.say_to_user(name, event, message, data, skip=skip)
        if not await node.knows(name):
            raise RtError(NOT_FOUND, "sid: there is no such connection")
        return await node.say_to_sid(name, event, message, data, skip=skip)

    def _forget(self) -> None:
        self._node.metrics.dropped["idempotency_key"] += 1


async def _settled(accepted: Accepted) -> dict[str, Any]:
    receipt = accepted.receipt
    if receipt is not None and receipt.committed is None:
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        receipt.then(lambda _: None if settled.done() else settled.set_result(None))
        await settled
    if receipt is not None and not receipt.committed:
        raise RtError(SERVER_ERROR, "the message was delivered, but could not be recorded for webhooks")
    return accepted.body()
