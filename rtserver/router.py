"""From event name to handler: limits, model, handler, ack. The only place where errors become acks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import uniform
from typing import Any, NamedTuple, NoReturn

import orjson

from rtserver.client import Client
from rtserver.config.schema import Limits, Rate
from rtserver.handlers import (
    broadcast,
    chat,
    history,
    join,
    leave,
    mark_all_read,
    mark_read,
    notifications,
    ping,
    presence,
    private,
    refresh_token,
    rooms,
    subscribe,
    typing,
    unsubscribe,
)
from rtserver.handlers.base import Context, Held
from rtserver.protocol import messages, notices
from rtserver.protocol.errors import (
    BAD_REQUEST,
    MESSAGE_TOO_LARGE,
    RATE_LIMITED,
    SERVER_ERROR,
    UNKNOWN_EVENT,
    RtError,
)
from rtserver.protocol.routing import unwrap
from rtserver.rooms import bucket

Handler = Callable[[Context, Client, Any], Awaitable[dict[str, Any] | Held]]


class Route(NamedTuple):
    """Where an event goes. *model* is None for one that takes anything; *answer* is sent when no ack is wanted."""

    handler: Handler
    model: type[messages.Message] | None
    answer: str | None = None


ROUTES: dict[str, Route] = {
    "join": Route(join.join, messages.Join),
    "leave": Route(leave.leave, messages.Leave),
    "chat": Route(chat.chat, messages.Chat),
    "broadcast": Route(broadcast.broadcast, messages.Broadcast),
    "private": Route(private.private, messages.Private),
    "typing": Route(typing.typing, messages.Typing),
    "ping": Route(ping.ping, None, answer="pong"),
    "presence": Route(presence.presence, messages.Presence),
    "history": Route(history.history, messages.History),
    "rooms": Route(rooms.rooms, messages.Rooms),
    "subscribe": Route(subscribe.subscribe, notices.Subscribe),
    "unsubscribe": Route(unsubscribe.unsubscribe, notices.Subscribe),
    "notifications": Route(notifications.notifications, notices.Notifications),
    "mark_read": Route(mark_read.mark_read, notices.MarkRead),
    "mark_all_read": Route(mark_all_read.mark_all_read, notices.MarkAllRead),
    "refresh_token": Route(refresh_token.refresh_token, messages.RefreshToken),
}

# Both name an event whose payload names the event.
_ENVELOPE = "message"

EVENTS = (*ROUTES, _ENVELOPE)
"""Every name by which a client reaches us."""

# So many bytes of an event cost one more token: delivering them to a room is what a client can make others pay for.
BYTES_PER_TOKEN = 16 * 1024

# A client that is refused for its rate more often than this is no longer in a hurry but hostile, or broken: answering
# it costs more than it is worth. A program that sends a thousand events in a loop is told a thousand times instead.
REFUSALS = bucket.Rate(messages=10, per=1.0, burst=1000)
# One that was refused so often and still goes on is read in pieces, with rests between them that grow from the one to
# the other, in seconds: what a flood costs is for the server to say then, and the rest waits on its sender's side.
HASTE, RESTS = 200, (1.0, 4.0)


class Router:
    """Answers events of clients, whichever entrance they came through."""

    def __init__(self, context: Context, limits: Limits) -> None:
        self._context = context
        self._metrics = context.node.metrics
        self._message_size = limits.message_size
        self._rate = _rate(limits.rate) if limits.rate is not None else None
        self._event_rates = {event: _rate(rate) for event, rate in limits.events.items()}

    def knows(self, event: str) -> bool:
        """Tell whether the event is one of ours."""
        return event in ROUTES or event == _ENVELOPE

    def count(self, event: object) -> None:
        """Count an event that came, under its name if that is one of ours: strangers make up any number of others."""
        self._metrics.received[event if isinstance(event, str) and self.knows(event) else "other"] += 1

    def check_rate(self, client: Client, now: float, size: int = 0) -> None:
        """Take tokens from the client's bucket for an event of so many bytes; raise `RtError` without enough of them.

        *now* is in seconds of a clock that never steps.
        """
        if self._rate is not None:
            if client.bucket is None:
                client.bucket = bucket.Bucket(self._rate, now)
            wait = client.bucket.take(now, 1 + size // BYTES_PER_TOKEN)
            if wait:
                _slow_down(client, wait, now)

    def check_event_rate(self, client: Client, event: Any, now: float) -> None:
        """Take a token from the client's bucket for one event, if that event has a rate of its own."""
        rate = self._event_rates.get(event) if self._event_rates and isinstance(event, str) else None
        if rate is not None:
            if client.event_buckets is None:
                client.event_buckets = {}
            if event not in client.event_buckets:
                client.event_buckets[event] = bucket.Bucket(rate, now)
            wait = client.event_buckets[event].take(now)
            if wait:
                _slow_down(client, wait, now)

    async def answer(
        self, client: Client, event: object, args: list[Any], size: int, now: float, wants_ack: bool
    ) -> dict[str, Any] | Held | None:
        """Do what the event asks; return the ack's object, perhaps `Held`, or None after answering without one.

        *size* is that of the packet with its attachments, in bytes; *now* as in `check_rate`.
        """
        name = event
        self.count(event)
        try:
            self.check_rate(client, now, size)
            if event == _ENVELOPE:
                self.check_event_rate(client, event, now)
            name, payload = self._resolve(event, args)
            self.check_event_rate(client, name, now)
            route = ROUTES.get(name)
            if route is None:
                raise RtError(UNKNOWN_EVENT, f"there is no event {name[:64]!r}")
            if size > self._message_size:
                self._check_size(payload)
            request = messages.parse(route.model, payload) if route.model is not None else payload
            result = await route.handler(self._context, client, request)
        except RtError as error:
            return self._refused(client, name, error, wants_ack)
        except Exception:
            client.log.exception("handler failed", event_name=name)
            return self._refused(client, name, RtError(SERVER_ERROR, "the server failed"), wants_ack)
        if isinstance(result, Held):
            return Held({"ok": True, **result.body}, result.receipt) if wants_ack else None
        if wants_ack:
            return {"ok": True, **result}
        if route.answer is not None:
            client.emit(route.answer, {"timestamp": result["timestamp"]})
        return None

    def refuse(self, client: Client, event: object, error: RtError, wants_ack: bool) -> dict[str, Any] | None:
        """Return the ack of a refusal, or send it as ``error`` when no ack is wanted."""
        return self._refused(client, event, error, wants_ack)

    def _resolve(self, event: object, args: list[Any]) -> tuple[str, Any]:
        if not isinstance(event, str):
            raise RtError(UNKNOWN_EVENT, "an event's name is a string")
        if len(args) > 1 and (event == _ENVELOPE or (event in ROUTES and ROUTES[event].model is not None)):
            raise RtError(BAD_REQUEST, f"payload: {event} takes one object, not {len(args)} arguments")
        payload = args[0] if args else {}
        if event != _ENVELOPE:
            return event, payload
        return unwrap(payload)

    def _check_size(self, payload: Any) -> None:
        """Judge a large packet exactly: the bytes of message and data, whatever else it carried."""
        if not isinstance(payload, dict):
            return
        size = sum(_size(payload[field]) for field in ("message", "data") if field in payload)
        if size > self._message_size:
            raise RtError(
                MESSAGE_TOO_LARGE, f"message and data have {size} bytes, {self._message_size} are allowed"
            )

    def _refused(
        self, client: Client, event: object, error: RtError, wants_ack: bool
    ) -> dict[str, Any] | None:
        self._metrics.refused[error.reason.reason] += 1
        if wants_ack:
            return {"ok": False, "error": error.body()}
        client.emit("error", {**error.body(), "event": event})
        return None


def _slow_down(client: Client, wait: float, now: float) -> NoReturn:
    """Refuse an event over the rate; a client that goes on in spite of many refusals is sent away."""
    if client.patience is None:
        client.patience = bucket.Bucket(REFUSALS, now)
    if client.patience.take(now):
        client.log.warning("client sent away", reason=RATE_LIMITED.reason, ip=client.ip)
        client.gateway.dismiss(client, RtError(RATE_LIMITED, "too many events over the rate"))
    elif client.patience.spent > HASTE:
        # They differ, because a crowd that began in one moment would otherwise be back in one moment.
        seconds = (RESTS[0] + (RESTS[1] - RESTS[0]) * client.patience.spent / REFUSALS.burst) * uniform(
            0.5, 1.5
        )
        if client.session.rest(seconds):
            client.patience.skip(seconds)
    raise RtError(RATE_LIMITED, "too many events, slow down", retry_after=round(wait, 3) or 0.001)


def _rate(rate: Rate) -> bucket.Rate:
    return bucket.Rate(rate.messages, rate.per, rate.burst)


def _size(value: Any) -> int:
    """Return the bytes of a value: text as UTF-8, anything else as JSON, binary as it is."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    binary = 0

    def count(part: Any) -> str:
        nonlocal binary
        # What stands in its place, an empty string, is two bytes.
        binary += len(part) - 2
        return ""

    try:
        return len(orjson.dumps(value, default=count)) + binary
    except TypeError as error:
        raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from None
