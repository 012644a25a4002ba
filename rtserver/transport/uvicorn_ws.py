"""uvicorn's WebSocket protocol class with a door to the fast lane.

The handshake is uvicorn's. An application that finds `door.DIRECT` in the scope's extensions may take the
connection over after it; one that does not look is served as by uvicorn alone. Everything here that uvicorn does not
promise is pinned by the version range in pyproject.toml and by the tests of both paths on the wire.
"""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

from rtserver.transport.direct import DirectLane
from rtserver.transport.door import DIRECT

# How much a client may send before its handshake is answered.
MAX_EARLY = 64 * 1024

_REFUSED = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class DirectWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection during its handshake, and after it when nobody takes it over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early = b""
        if self.config.ws_per_message_deflate:
            # Without context takeover a broadcast is compressed once for all, and no connection keeps a window.
            compression = ServerPerMessageDeflateFactory(
                server_no_context_takeover=True, client_no_context_takeover=True
            )
            self.conn = ServerProtocol(extensions=[compression], max_size=self.config.ws_max_size)

    def handle_connect(self, event: Request) -> None:
        """Offer the direct line in the scope; the application's task has not started yet."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast("dict[str, Any]", self.scope["extensions"])[DIRECT] = self.take_over

    def data_received(self, data: bytes) -> None:
        """Put aside what a client sends before the handshake is complete, which RFC 6455, section 4.1, forbids it.

        uvicorn would pause reading for good, and a broken frame would be an error of ours.
        """
        if not self.handshake_initiated or self.handshake_complete:
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                # uvicorn only looks for errors after the handshake, and would leave the client without an answer.
                self.transport.write(_REFUSED)
                self.transport.close()
            return
        self._early += data
        if len(self._early) > MAX_EARLY:
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        """Send; a refusal with an HTTP status completes the handshake, which uvicorn forgets to note."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True
        elif self.handshake_complete and self._early:
            early, self._early = self._early, b""
            self.transport.resume_reading()
            super().data_received(early)

    def take_over(self, lane: DirectLane, greeting: bytes) -> None:
        """Finish the handshake, with *greeting* (frames) in the same write, and leave the transport to *lane*."""
        self.handshake_complete = True
        transport = self.transport
        if self.disconnected or transport.is_closing():
            lane.receiver.on_lost("transport close")
            return
        del self.response.headers["Date"]
        self.conn.send_response(self.response)
        transport.write(b"".join(self.conn.data_to_send()) + greeting)
        self.connections.discard(self)
        lane.inflates, lane.deflates = _compression(self.conn)
        lane.attach(transport, self.connections)
        # The application's task ends now, and uvicorn would close the transport that is no longer its own.
        self.transport = cast("Any", _Gone())
        if self._early:
            transport.resume_reading()
            lane.data_received(self._early)


def _compression(conn: ServerProtocol) -> tuple[bool, bool]:
    """Return whether messages may come compressed, and whether ours may go so.

    Ours are compressed with the largest window: a client that asked for a smaller one gets them as they are.
    """
    negotiated = [extension for extension in conn.extensions if isinstance(extension, PerMessageDeflate)]
    return bool(negotiated), any(extension.local_max_window_bits == 15 for extension in negotiated)


class _Gone:
    """What is left of a transport that another protocol has taken over."""

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return True
