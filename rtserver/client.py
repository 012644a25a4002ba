"""One live connection of somebody: what every entrance makes, and every verb works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rtserver.fanout import Format
from rtserver.rooms.bucket import Bucket
from rtserver.rooms.tape import Tape
from rtserver.telemetry.log import logger
from rtserver.transport.outbound import Outbound
from rtserver.transport.session import Session

if TYPE_CHECKING:
    from rtserver.auth.tokens import Identity
    from rtserver.protocol.errors import RtError

_log = logger("client")


class Gateway(Protocol):
    """The entrance that a client came through; it knows how its protocol says goodbye."""

    def dismiss(self, client: Client, error: RtError) -> None:
        """Tell the client why, and disconnect it."""


class Client:
    """The connection. *client_id* is the name others address, *user* the authenticated id or None.

    ``rooms`` holds the rooms it joined as a member, in order; ``subscriptions`` all rooms it hears, each with the
    number of the last message before. ``recovered`` tells whether it goes on where an earlier connection was cut.
    """

    __slots__ = (
        "acks",
        "bucket",
        "client_id",
        "connected_at",
        "data",
        "event_buckets",
        "format",
        "gateway",
        "gone_because",
        "heir",
        "identity",
        "ip",
        "live",
        "name",
        "namespace",
        "next_ack",
        "number",
        "patience",
        "recovered",
        "rooms",
        "session",
        "session_id",
        "session_since",
        "sid",
        "since",
        "subscriptions",
        "tape",
    )

    def __init__(
        self,
        sid: str,
        client_id: str,
        name: str,
        session: Session,
        form: Format,
        gateway: Gateway,
        *,
        namespace: str = "/",
        identity: Identity | None = None,
        ip: str = "",
    ) -> None:
        self.sid = sid
        self.client_id = client_id
        self.name = name
        self.session = session
        self.format = form
        self.gateway = gateway
        self.namespace = namespace
        self.identity = identity
        self.ip = ip
        self.live = False
        self.number = 0
        self.connected_at = 0.0
        # The session outlives the connection when the client comes back within its time of grace.
        self.session_id = ""
        self.session_since = 0.0
        # Why we end it, in a word of the list of errors; else why its line was cut, in Socket.IO's words.
        self.gone_because = ""
        self.rooms: dict[str, None] | None = None
        self.subscriptions: dict[str, int] | None = None
        # With a tape its events say how far it has heard; what was sent before number `since` was not for it.
        self.tape: Tape[bytes | Outbound] | None = None
        self.since = 0
        self.recovered = False
        self.bucket: Bucket | None = None
        self.event_buckets: dict[str, Bucket] | None = None
        # What is left of its refusals; None as long as it was never refused for its rate.
        self.patience: Bucket | None = None
        self.heir: Client | None = None
        self.acks: dict[int, Any] | None = None
        self.next_ack = 0
        self.data: dict[str, Any] | None = None

    @property
    def user(self) -> str | None:
        """The authenticated user's id, None for a guest."""
        return self.identity.user if self.identity is not None else None

    @property
    def verified(self) -> bool:
        """Tell whether a token vouches for the client_id."""
        return self.identity is not None

    @property
    def log(self) -> Any:
        """The log, with this client's sid and client_id in every line."""
        return _log.bind(sid=self.sid, client_id=self.client_id)

    def emit(self, event: str, *args: Any) -> None:
        """Send an event to this client alone: an answer, which is not kept should it be lost."""
        if self.tape is not None and self.live:
            # What was sent before it arrives before it, so the latest offset is the truth.
            args = (*args, self.tape.offset)
        self.session.send(self.format.event(event, args))
