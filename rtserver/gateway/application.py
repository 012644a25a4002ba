# ruff: noqa: SLF001 - python-socketio looks handlers up and calls them in private methods only.
"""The code of the application that embeds us: what it registered on ``app.sio``, and how it is run.

Handlers are found and called by python-socketio's own rules; what they raise is turned into a refusal here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from socketio import AsyncNamespace, exceptions

from rtserver.client import Client
from rtserver.gateway.members import MAIN
from rtserver.protocol.errors import SERVER_ERROR, UNAUTHORIZED, RtError


class Application:
    """The handlers of a ``socketio.AsyncServer``."""

    __slots__ = ("_server",)

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def present(self) -> bool:
        """Tell whether there is any code of an application."""
        return bool(self._server.handlers or self._server.namespace_handlers)

    def has_namespace(self, namespace: str) -> bool:
        """Tell whether clients may join the namespace."""
        known = (self._server.handlers, self._server.namespace_handlers)
        return namespace == MAIN or any(namespace in names or "*" in names for names in known)

    def takes(self, namespace: str, event: Any, *, ours: bool) -> bool:
        """Tell whether the application takes the event. Its own handler comes before one of *ours*, its catch-all not.

        An event of another namespace than the main one is always the application's.
        """
        if namespace != MAIN:
            return True
        if not self.present or not isinstance(event, str):
            return False
        handlers, namespaces = self._server.handlers, self._server.namespace_handlers
        if event in handlers.get(MAIN, ()) or hasattr(namespaces.get(MAIN), f"on_{event}"):
            return True
        return not ours and ("*" in namespaces or "*" in handlers.get(MAIN, ()) or "*" in handlers)

    async def run(self, client: Client, event: Any, args: list[Any]) -> list[Any] | None:
        """Run the handler; return what to acknowledge with, None when there is no handler.

        Raises `RtError`: the handler's own, or ``server_error`` for anything else.
        """
        try:
            result = await self._server._trigger_event(event, client.namespace, client.sid, *args)
        except RtError:
            raise
        except Exception:
            client.log.exception("an application's handler failed", event_name=event)
            raise RtError(SERVER_ERROR, "the handler failed") from None
        if result is self._server.not_handled:
            return None
        return [] if result is None else list(result) if isinstance(result, tuple) else [result]

    async def judge(self, client: Client, auth: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the connect handler; return the CONNECT_ERROR's body when it says no, or fails."""
        try:
            verdict = await self._connect(client, auth)
        except exceptions.ConnectionRefusedError as error:
            return dict(error.error_args)
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except RtError as error:
            return refusal(error)
        except Exception:
            client.log.exception("the application's connect handler failed")
            return refusal(RtError(SERVER_ERROR, "the connect handler failed"))
        return refusal(RtError(UNAUTHORIZED, "refused by the application")) if verdict is False else None

    async def tell_gone(self, client: Client, reason: str) -> None:
        """Run the disconnect handler."""
        try:
            await self._server._trigger_event("disconnect", client.namespace, client.sid, reason)
        except Exception:
            client.log.exception("the application's disconnect handler failed")

    async def _connect(self, client: Client, auth: dict[str, Any]) -> Any:
        """Call the connect handler ourselves: python-socketio would take a cancelled one for a yes."""
        environ = self._server.environ.get(client.session.sid, {})
        said = (client.sid, environ, auth or None)
        handler, args = self._server._get_event_handler("connect", client.namespace, said)
        if handler is None:
            owner, args = self._server._get_namespace_handler(client.namespace, said)
            handler = _connect_handler(owner)
        if handler is None:
            return None
        verdict = handler(*(args if _takes(handler, args) else args[:-1]))
        return await uncancelled(verdict) if inspect.isawaitable(verdict) else verdict


def _connect_handler(owner: Any) -> Callable[..., Any] | None:
    """Return what a namespace object runs on connect; one with its own ``trigger_event`` is asked through that."""
    if owner is not None and type(owner).trigger_event is not AsyncNamespace.trigger_event:
        return partial(owner.trigger_event, "connect")
    return getattr(owner, "on_connect", None)


def refusal(error: RtError) -> dict[str, Any]:
    """Return the body of a CONNECT_ERROR: what the client sees as ``err.message`` and ``err.data``."""
    return {"message": error.reason.reason, "data": error.farewell()}


async def uncancelled(waiting: Awaitable[Any]) -> Any:
    """Wait for code of an application that decides; raise `RtError` when it was cancelled and we were not.

    A cancelled decision is no decision, and must not pass for a yes.
    """
    try:
        return await waiting
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RtError(SERVER_ERROR, "the application's handler was cancelled") from None


def _takes(handler: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Tell whether a connect handler takes the ``auth`` argument; older ones do not."""
    try:
        inspect.signature(handler).bind(*args)
    except TypeError:
        return False
    return True
