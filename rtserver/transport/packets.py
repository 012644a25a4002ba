"""Engine.IO v4 packets and long-polling payloads. Pure.

https://socket.io/docs/v4/engine-io-protocol/: a text packet is one type digit and its data; a binary message has
no type on a WebSocket, and is ``b`` and base64 in a payload, whose packets are separated by U+001E.
"""

from __future__ import annotations

import base64
import binascii

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0", "1", "2", "3", "4", "5", "6"
PROBE = "probe"
SEPARATOR = "\x1e"


class MalformedPacket(ValueError):
    """The peer sent what the protocol does not know; the session must be closed."""


def decode_payload(body: str, max_packets: int) -> list[str | bytes]:
    """Return the packets of a long-polling payload: text packets with their type, binary messages as bytes.

    Raise `MalformedPacket` for an empty packet, bad base64, or more than *max_packets*.
    """
    parts = body.split(SEPARATOR, max_packets)
    if len(parts) > max_packets:
        raise MalformedPacket(f"more than {max_packets} packets in one payload")
    return [_decode_part(part) for part in parts]


def _decode_part(part: str) -> str | bytes:
    if not part.startswith("b"):
        if not part:
            raise MalformedPacket("empty packet")
        return part
    try:
        return binascii.a2b_base64(part[1:], strict_mode=True)
    except (binascii.Error, ValueError):
        raise MalformedPacket("bad base64") from None


def encode_part(packet: str | bytes) -> str:
    """Return a packet as it stands in a long-polling payload."""
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()
