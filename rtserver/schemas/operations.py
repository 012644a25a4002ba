"""The HTTP API as a table: every call, what it takes, what it answers, and for which reasons it may refuse.

A test compares it with the routes, and schemathesis asks a running server whether it keeps to it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel

from rtserver.protocol import answers, notices, requests
from rtserver.protocol.errors import (
    NOT_FOUND,
    ROOM_FULL,
    SERVER_DRAINING,
    SERVER_ERROR,
    TOO_MANY_ROOMS,
    Reason,
)
from rtserver.protocol.events import UserNotification
from rtserver.protocol.publish import Publish
from rtserver.protocol.shape import Shape

Who = Literal["backend", "user", "anybody"]


class Operation(NamedTuple):
    """One call. *body* is read as JSON, and where *form* says so as a form; *errors* are those besides the usual."""

    method: Literal["get", "post"]
    path: str
    name: str
    tag: str
    summary: str
    answer: type[Shape]
    who: Who = "backend"
    query: type[BaseModel] | None = None
    body: type[BaseModel] | Literal["ids"] | None = None
    optional: bool = False
    form: bool = False
    status: int = 200
    errors: tuple[Reason, ...] = ()


OPERATIONS = (
    Operation(
        "post",
        "/api/publish",
        "publish",
        "publish",
        "Publish an event to a room, a user, a connection, or all",
        answers.Accepted,
        body=Publish,
        form=True,
        errors=(NOT_FOUND,),
    ),
    Operation(
        "post",
        "/api/publish/batch",
        "publishBatch",
        "publish",
        "Publish up to 1000 events, in order",
        answers.Results,
        body=requests.Batch,
    ),
    Operation(
        "get",
        "/api/rooms",
        "listRooms",
        "rooms",
        "List the rooms that have members, by name",
        answers.Rooms,
        query=requests.Paging,
    ),
    Operation("get", "/api/rooms/{room}", "getRoom", "rooms", "Count a room's members", answers.Room),
    Operation(
        "get",
        "/api/rooms/{room}/members",
        "listMembers",
        "rooms",
        "List who is in a room",
        answers.Members,
        query=requests.Paging,
    ),
    Operation(
        "get",
        "/api/rooms/{room}/history",
        "readHistory",
        "rooms",
        "Read what was said in a room, oldest first",
        answers.RoomHistory,
        query=requests.Span,
    ),
    Operation(
        "get",
        "/api/clients",
        "listClients",
        "clients",
        "List the connections, by sid",
        answers.Clients,
        query=requests.Paging,
    ),
    Operation(
        "get",
        "/api/clients/{sid}",
        "getClient",
        "clients",
        "Look a connection up",
        answers.ConnectedClient,
        errors=(NOT_FOUND,),
    ),
    Operation(
        "post",
        "/api/clients/{sid}/disconnect",
        "disconnectClient",
        "clients",
        "End a connection for good",
        answers.Disconnected,
        body=requests.Disconnect,
        optional=True,
        errors=(NOT_FOUND,),
    ),
    Operation(
        "post",
        "/api/clients/{sid}/join",
        "joinRoom",
        "clients",
        "Put a connection into a room, whatever the room's policy",
        answers.Joined,
        body=requests.Move,
        errors=(NOT_FOUND, TOO_MANY_ROOMS, ROOM_FULL),
    ),
    Operation(
        "post",
        "/api/clients/{sid}/leave",
        "leaveRoom",
        "clients",
        "Take a connection out of a room",
        answers.Left,
        body=requests.Move,
        errors=(NOT_FOUND,),
    ),
    Operation(
        "get", "/api/users/{id}", "getUser", "users", "Look up where a user is connected", answers.User
    ),
    Operation(
        "post",
        "/api/users/{id}/disconnect",
        "disconnectUser",
        "users",
        "End all connections of a user for good",
        answers.Disconnected,
        body=requests.Disconnect,
        optional=True,
    ),
    Operation(
        "post",
        "/api/users/{id}/notifications",
        "notifyUser",
        "notifications",
        "Put a notification into a user's inbox",
        UserNotification,
        body=notices.Notice,
        form=True,
        status=201,
    ),
    Operation(
        "post",
        "/notify/{topic}",
        "notifyTopic",
        "notifications",
        "Tell everybody who is subscribed to a topic",
        answers.Sent,
        body=notices.Notice,
        form=True,
    ),
    Operation(
        "get",
        "/notifications",
        "readInbox",
        "inbox",
        "Read one's own inbox, the newest first",
        answers.Inbox,
        who="user",
        query=notices.Notifications,
    ),
    Operation(
        "post",
        "/notifications/mark-read",
        "markRead",
        "inbox",
        "Mark notifications as read",
        answers.Marked,
        who="user",
        body="ids",
    ),
    Operation(
        "post",
        "/notifications/mark-all-read",
        "markAllRead",
        "inbox",
        "Mark all notifications as read",
        answers.Marked,
        who="user",
    ),
    Operation(
        "post",
        "/api/tokens/revoke",
        "revokeTokens",
        "tokens",
        "Refuse tokens from now on",
        answers.Revoked,
        body=requests.Revoke,
        form=True,
    ),
    Operation(
        "get",
        "/api/webhooks/deliveries",
        "listDeliveries",
        "webhooks",
        "List webhook deliveries, the newest first",
        answers.Deliveries,
        query=requests.Deliveries,
        errors=(NOT_FOUND,),
    ),
    Operation(
        "post",
        "/api/webhooks/deliveries/{id}/retry",
        "retryDelivery",
        "webhooks",
        "Deliver again, with a fresh schedule",
        answers.Retried,
        errors=(NOT_FOUND,),
    ),
    Operation("get", "/healthz", "isAlive", "health", "Is the process alive?", answers.Health, "anybody"),
    Operation(
        "get",
        "/readyz",
        "isReady",
        "health",
        "May it be sent clients?",
        answers.Health,
        "anybody",
        errors=(SERVER_DRAINING, SERVER_ERROR),
    ),
)
