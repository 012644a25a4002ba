"""WebSocket frames (RFC 6455), server side. Pure: bytes in, messages or a violation out.

A frame from server to client is not masked (section 5.1), so one encoded frame serves every recipient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Frame", "FrameReader", "FrameViolation", "encode", "encode_close", "unmask"]

try:
    from websockets.speedups import apply_mask as unmask
except ImportError:  # the library was installed without its C extension
    from websockets.utils import apply_mask as unmask

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTINUATION = 0x0
_FIN, _RSV, _RSV1, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x40, 0x0F, 0x80, 0x7F

# Status codes of RFC 6455, section 7.4.1.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, INVALID_DATA, TOO_BIG = 1000, 1001, 1002, 1003, 1007, 1009
SERVICE_RESTART = 1012
# What an API says for a close frame without a code, and for a line that was cut; never on the wire.
NO_STATUS, ABNORMAL = 1005, 1006


class FrameViolation(Exception):
    """The peer broke the protocol: close the connection with *code*."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """A whole message, or a control frame. *compressed* is RSV1 of its first frame (RFC 7692)."""

    opcode: int
    payload: bytes
    compressed: bool = False


def encode(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes:
    """Return one final, unmasked frame."""
    first = _FIN | opcode | (_RSV1 if compressed else 0)
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return bytes((first, 126, length >> 8, length & 0xFF)) + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a frame that `encode` made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def close_reason(reason: str) -> str:
    """Return *reason* cut to what fits into a close frame: 123 bytes of UTF-8 (RFC 6455, section 5.5)."""
    return reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame."""
    return encode(CLOSE, code.to_bytes(2, "big") + close_reason(reason).encode())


def close_code(payload: bytes) -> int | None:
    """Return the status code of a close frame's payload, None for an empty one; raise when it is malformed."""
    if not payload:
        return None
    if len(payload) == 1:
        raise FrameViolation(PROTOCOL_ERROR, "close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameViolation(PROTOCOL_ERROR, f"close code {code}")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameViolation(INVALID_DATA, "close reason is not UTF-8") from None
    return code


def farewell(code: int | None) -> str:
    """Return how a session ends whose peer closed with *code*, in python-engineio's words.

    1000 is a goodbye. A page that is left or reloaded closes with 1001, and socket.io-client cuts a line that it
    will open again with no code at all: both may be back in a moment.
    """
    return "client disconnect" if code == NORMAL else "transport close"


class FrameReader:
    """Frames of any shape out of chunks of any size, at most *max_size* bytes per message.

    It exists only while a connection has something that the common case (`transport.direct`) does not cover:
    a frame cut by the network, a fragmented message, a control frame, a large or binary one.
    """

    __slots__ = ("_buffer", "_compressed", "_compression", "_fragments", "_held", "_max_size", "_opcode")

    def __init__(self, max_size: int, *, compression: bool = False) -> None:
        self._max_size = max_size
        self._compression = compression
        self._buffer = bytearray()
        self._fragments: list[bytes] = []
        self._held = 0
        self._opcode = 0
        self._compressed = False

    @property
    def idle(self) -> bool:
        """Tell whether the reader stands at a message boundary with nothing buffered."""
        return not self._buffer and not self._opcode

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the messages and control frames that *data* completes, up to a CLOSE; raise `FrameViolation`.

        What came before a violation is yielded before it is raised.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            if frame.opcode:
                yield frame
            if frame.opcode == CLOSE:
                return

    def _next(self) -> Frame | None:
        """Take one frame off the buffer; a frame of opcode 0 stands for a fragment put aside."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        start, length = self._header(first, second)
        if start == 0 or len(buffer) < start + 4 + length:
            return None
        mask = bytes(buffer[start : start + 4])
        payload = unmask(bytes(buffer[start + 4 : start + 4 + length]), mask)
        del buffer[: start + 4 + length]
        opcode = first & _OPCODE
        if opcode >= CLOSE:
            return Frame(opcode, payload)
        return self._join(opcode, payload, first)

    def _header(self, first: int, second: int) -> tuple[int, int]:
        """Return where the mask starts and how long the payload is; (0, 0) when the header is not complete."""
        self._check(first, second)
        length = second & _LENGTH
        start = 2
        if length > 125:
            start = 4 if length == 126 else 10
            if len(self._buffer) < start:
                return 0, 0
            length = int.from_bytes(self._buffer[2:start], "big")
        if first & _OPCODE < CLOSE and self._held + length > self._max_size:
            raise FrameViolation(TOO_BIG, f"message over {self._max_size} bytes")
        return start, length

    def _check(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        allowed = _RSV1 if self._compression and opcode in (TEXT, BINARY) else 0
        if first & _RSV & ~allowed:
            raise FrameViolation(PROTOCOL_ERROR, "reserved bits set")
        if opcode not in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise FrameViolation(PROTOCOL_ERROR, f"opcode {opcode}")
        if not second & _MASKED:
            raise FrameViolation(PROTOCOL_ERROR, "frame is not masked")
        if opcode >= CLOSE and (not first & _FIN or second & _LENGTH > 125):
            raise FrameViolation(PROTOCOL_ERROR, "control frame is fragmented or too long")
        if opcode in (TEXT, BINARY) and self._opcode:
            raise FrameViolation(PROTOCOL_ERROR, "new message inside a fragmented one")
        if opcode == _CONTINUATION and not self._opcode:
            raise FrameViolation(PROTOCOL_ERROR, "continuation without a beginning")

    def _join(self, opcode: int, payload: bytes, first: int) -> Frame:
        if opcode:
            self._opcode, self._compressed = opcode, bool(first & _RSV1)
        self._fragments.append(payload)
        self._held += len(payload)
        # Empty fragments hold no bytes, but the list would grow for ever.
        if len(self._fragments) > 1024:
            self._fragments = [b"".join(self._fragments)]
        if not first & _FIN:
            return Frame(0, b"")
        whole = self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)
        frame = Frame(self._opcode, whole, self._compressed)
        self._fragments, self._held, self._opcode = [], 0, 0
        return frame
