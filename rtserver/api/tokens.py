"""``POST /api/tokens/revoke``: a backend calls tokens back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.node import Node
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.messages import Message, Name, Text


class Revoke(Message):
    """Which tokens: a user's, the one with a jti, or all; issued up to *issued_before*, or to now."""

    user: Name | None = None
    jti: Annotated[Text, Field(max_length=1024)] | None = None
    issued_before: float | str | None = None

    def until(self) -> float | None:
        """Return ``issued_before`` in Unix seconds; raise `RtError` when it is no time."""
        if not isinstance(self.issued_before, str):
            return self.issued_before
        try:
            at = datetime.fromisoformat(self.issued_before)
        except ValueError:
            raise RtError(BAD_REQUEST, "issued_before: must be Unix seconds or ISO 8601") from None
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def tokens(node: Node, keys: Keys, reader: Reader) -> APIRouter:
    """Return the resource."""
    router = APIRouter(dependencies=[Depends(keys.check)])

    @router.post("/api/tokens/revoke", response_class=Json)
    async def endpoint(request: Request) -> Json:
        """Refuse them from now on; answer how many clients were sent away."""
        asked = await reader.model(request, Revoke)
        return Json({"revoked": await node.revoke(asked.user, asked.jti, asked.until())})

    return router
