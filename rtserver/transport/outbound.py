"""What goes out: packets that belong together, encoded once per wire format however many clients get them."""

from __future__ import annotations

import zlib

from rtserver.transport import frames, packets


class Outbound:
    """One or more Engine.IO packets that must arrive together and in order (an event and its attachments).

    ``frames`` are final WebSocket bytes, ``payload`` is the long-polling form, ``packets`` are what ASGI takes: text
    with its type digit, binary without. ``frames`` are made at once, the rest when first asked for; all recipients
    share them. ``size`` is what a lane counts for it, in bytes. ``plain`` tells that it is one
    text packet, made by `text`.
    """

    __slots__ = ("_deflated", "_packets", "_payload", "frames", "plain", "size")

    def __init__(self, *parts: str | bytes, text: bytes | None = None, frame: bytes | None = None) -> None:
        if text is not None:
            self.frames, self.size = frames.encode(frames.TEXT, text), len(text)
        elif frame is not None:
            self.frames, self.size = frame, len(frames.payload_of(frame))
        else:
            self.frames, self.size = b"".join(map(_frame, parts)), sum(map(_size, parts))
        # Text is the end of its own frame: what is kept for a while is kept once.
        self._packets: tuple[str | bytes, ...] | None = parts or None
        self.plain = not parts
        self._deflated: bytes | None = None
        self._payload: str | None = None

    @classmethod
    def message(cls, *parts: str | bytes) -> Outbound:
        """Return the parts as Engine.IO messages: text gets the type digit, binary has none."""
        return cls(*(packets.MESSAGE + part if isinstance(part, str) else part for part in parts))

    @classmethod
    def text(cls, packet: bytes) -> Outbound:
        """Return one text packet, given as UTF-8 with its type digit: the way of nearly all messages."""
        return cls(text=packet)

    def __len__(self) -> int:
        return self.size

    def lasting(self) -> bytes | Outbound:
        """Return what to keep for a while and to give to `again`.

        Most often that are the frames, without the forms that only some of its recipients needed.
        """
        return self.frames if self.plain else self

    @classmethod
    def again(cls, kept: bytes | Outbound) -> Outbound:
        """Return what `lasting` returned as it was."""
        return kept if isinstance(kept, Outbound) else cls(frame=kept)

    @property
    def packets(self) -> tuple[str | bytes, ...]:
        """The packets one by one."""
        if self._packets is None:
            self._packets = (self.frames[-self.size :].decode(),)
        return self._packets

    @property
    def deflated(self) -> bytes:
        """The packets as WebSocket frames compressed without context takeover (RFC 7692, section 7.2.1)."""
        if self._deflated is None:
            self._deflated = b"".join(map(_deflated_frame, self.packets))
        return self._deflated

    @property
    def payload(self) -> str:
        """The packets as a part of a long-polling payload."""
        if self._payload is None:
            self._payload = packets.SEPARATOR.join(map(packets.encode_part, self.packets))
        return self._payload


# Smaller messages grow or gain nothing by compression.
_WORTH_DEFLATING = 512


def _size(packet: str | bytes) -> int:
    return len(packet.encode()) if isinstance(packet, str) else len(packet)


def _frame(packet: str | bytes) -> bytes:
    if isinstance(packet, str):
        return frames.encode(frames.TEXT, packet.encode())
    return frames.encode(frames.BINARY, bytes(packet))


def _deflated_frame(packet: str | bytes) -> bytes:
    if len(packet) < _WORTH_DEFLATING:
        return _frame(packet)
    data = packet.encode() if isinstance(packet, str) else bytes(packet)
    deflate = zlib.compressobj(wbits=-15)
    # Section 7.2.1 wants the tail 00 00 ff ff of a sync flush cut off.
    squeezed = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return frames.encode(frames.TEXT if isinstance(packet, str) else frames.BINARY, squeezed, compressed=True)


PING = Outbound(packets.PING)
NOOP = Outbound(packets.NOOP)
CLOSE = Outbound(packets.CLOSE)
PROBE_ANSWER = Outbound(packets.PONG + packets.PROBE)
