// Written by `rtserver schema typescript`; change the server's models instead of this file.
//
//   import { io, type Socket } from "socket.io-client";
//   import type { ClientToServerEvents, ServerToClientEvents } from "./events";
//
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();

/** The closed list of reasons for a refusal. */
export type Reason =
  | "bad_request" | "unauthorized" | "forbidden" | "not_found" | "unknown_event" | "not_a_member"
  | "message_too_large" | "rate_limited" | "too_many_connections" | "too_many_rooms" | "room_full" | "token_expired"
  | "token_revoked" | "slow_consumer" | "server_draining" | "kicked" | "handshake_timeout" | "server_error";

/** What kind of notification it is. */
export type Level =
  | "info" | "warning" | "error" | "success";

/** What every event is answered: check `ok` before anything else. */
export type Ack<T = object> = ({ ok: true } & T) | { ok: false; error: ErrorBody };

/** Takes an acknowledgement. */
export type Answer<T = object> = (ack: Ack<T>) => void;

/** All notifications of the user were read. */
export interface AllRead {
}

/** The message was recorded and delivered. */
export interface Broadcasted {
  id: string;
  offset: number;
  timestamp: string;
  /** How many clients got it. */
  recipients: number;
}

/** A client connected, or disconnected. */
export interface ConnectionChange {
  client_id: string;
  name: string;
  total_connections: number;
  message: string;
  username: "SYSTEM";
  is_system: true;
  timestamp: string;
}

/** The private message was delivered. */
export interface Delivered {
  id: string;
  timestamp: string;
  /** To how many clients. */
  delivered: number;
}

/** It was done. */
export interface Done {
}

/** Why something was refused: a row of the closed list of errors. */
export interface ErrorBody {
  code: number;
  reason: Reason;
  /** A sentence for a person. */
  message: string;
  /** Seconds to wait before the next try. */
  retry_after?: number;
}

/** An event was refused that wanted no acknowledgement. */
export interface EventError {
  code: number;
  reason: Reason;
  /** A sentence for a person. */
  message: string;
  /** The name of the event, as it was sent. */
  event: unknown;
  /** Seconds to wait before the next try. */
  retry_after?: number;
}

/** Why a connection was refused or is about to end, and whether coming back can help. */
export interface Goodbye {
  code: number;
  reason: Reason;
  /** A sentence for a person. */
  message: string;
  reconnect: boolean;
  /** Seconds to wait before the next try. */
  retry_after?: number;
}

/** What was said in a room, oldest first. */
export interface HistoryPage {
  messages: (RecordedMessage | RecordedEvent)[];
  /** Of the room's latest publication. */
  offset: number;
  /** False when something after `since` is missing. */
  complete: boolean;
}

/** A page of the user's inbox, the newest first. */
export interface InboxPage {
  notifications: UserNotification[];
  /** How many are unread in all of the inbox. */
  unread: number;
}

/** Notifications were marked as read. */
export interface MarkedRead {
  /** How many were not before. */
  marked: number;
}

/** A client_id in a room. */
export interface Member {
  client_id: string;
  name: string;
  /** Whether a token vouches for the client_id. */
  verified: boolean;
  /** How many connections (tabs, devices) this member has in the room. */
  connections: number;
  joined_at: string;
}

/** A page of a room's members. */
export interface MembersPage {
  members: Member[];
  /** How many there are in all. */
  count: number;
  /** The cursor of the next page; left out on the last one. */
  next?: string;
}

/** Notifications of the user were read, in whatever tab. */
export interface NotificationsRead {
  notification_ids: string[];
}

/** The answer to a `ping` that wanted no acknowledgement. */
export interface Pong {
  timestamp: string;
}

/** The server is there. */
export interface Ponged {
  pong: true;
  timestamp: string;
}

/** A message to every connection of one client_id. It is not kept. */
export interface PrivateMessage {
  id: string;
  sender: string;
  username: string;
  to: string;
  message: string;
  data?: unknown;
  timestamp: string;
}

/** A message that was recorded and delivered to a room, or to everybody when `room` is null. */
export interface Publication {
  id: string;
  room: string | null;
  /** The sender's client_id; null for what a backend says, as SYSTEM. */
  sender: string | null;
  username: string;
  message: string;
  data?: unknown;
  timestamp: string;
  offset: number;
}

/** The message was recorded and delivered. */
export interface Published {
  id: string;
  offset: number;
  timestamp: string;
}

/** An event of its own name that a backend published: `data` is what clients got. */
export interface RecordedEvent {
  event: string;
  id: string;
  room: string | null;
  data: unknown;
  timestamp: string;
  offset: number;
}

/** A message in a room's history, with the event it was sent as. */
export interface RecordedMessage {
  id: string;
  room: string | null;
  /** The sender's client_id; null for what a backend says, as SYSTEM. */
  sender: string | null;
  username: string;
  message: string;
  data?: unknown;
  timestamp: string;
  offset: number;
  event: "chat" | "broadcast";
}

/** The new token is in the place of the old one. */
export interface Refreshed {
  /** When it expires; null for never. */
  expires_at: string | null;
  /** Rooms that only the old token opened. */
  left?: string[];
}

/** A member came into a room, or went. */
export interface RoomChange {
  room: string;
  client_id: string;
  name: string;
  /** How many members the room has now. */
  count: number;
  message: string;
  username: "SYSTEM";
  is_system: true;
  timestamp: string;
  /** Why it went. */
  reason?: string;
}

/** The client is in the room. */
export interface RoomEntered {
  room: string;
  /** At most 100 of them; `count` is exact. */
  members: Member[];
  count: number;
  /** Of the room's latest publication. */
  offset: number;
  history: (RecordedMessage | RecordedEvent)[];
  /** Whether `history` is everything since the offset asked for. */
  recovered: boolean;
}

/** The client left the room. */
export interface RoomLeft {
  room: string;
}

/** The rooms that this connection joined. */
export interface RoomNames {
  rooms: string[];
}

/** The token expires soon: send `refresh_token`. */
export interface TokenExpiring {
  expires_at: string;
}

/** The topic, as it is compared with others. */
export interface TopicName {
  topic: string;
}

/** What a backend told everybody who is subscribed to a topic. It is not kept. */
export interface TopicNotification {
  id: string;
  topic: string;
  type: Level;
  /** The same as `type`. */
  level: Level;
  title: string;
  message: string;
  data?: unknown;
  timestamp: string;
}

/** What a backend told one user. It is in the user's inbox. */
export interface UserNotification {
  id: string;
  user: string;
  type: Level;
  /** The same as `type`. */
  level: Level;
  title: string;
  message: string;
  data?: unknown;
  timestamp: string;
  /** When it was read; left out while it is not. */
  read_at?: string;
}

/** Somebody types, or stopped. */
export interface UserTyping {
  room: string;
  client_id: string;
  username: string;
  is_typing: boolean;
}

/** The first event of every session. */
export interface Welcome {
  client_id: string;
  sid: string;
  name: string;
  /** Whether a token vouches for the client_id. */
  verified: boolean;
  message: string;
  /** Counts up while the server runs. */
  client_number: number;
  total_connections: number;
  timestamp: string;
  /** When the token expires; null without a token. */
  expires_at: string | null;
}

/** What a room's history holds; `"message" in it` tells a message from another event. */
export type Recorded = RecordedMessage | RecordedEvent;

/** The same as `Chat` under another event name; its ack tells how many heard it. */
export interface BroadcastRequest {
  message: string;
  room?: string | null;
  data?: unknown;
  echo?: boolean;
}

/** Say something to a room, or without one to every client. */
export interface ChatRequest {
  message: string;
  room?: string | null;
  data?: unknown;
  echo?: boolean;
}

/** Ask what was said in a room, oldest first. */
export interface HistoryRequest {
  room: string;
  limit?: number;
  before?: number | null;
  since?: number | null;
}

/** Enter a room, and hear what was said: the latest `history`, or everything after `since`. */
export interface JoinRequest {
  room: string;
  history?: number | null;
  since?: number | null;
}

/** Leave a room. */
export interface LeaveRequest {
  room: string;
}

/** Say that all were read. */
export interface MarkAllReadRequest {
}

/** Say which notifications were read. */
export interface MarkReadRequest {
  notification_ids: string[];
}

/** Ask for a page of one's inbox, the newest first: those `before` an identifier, or only unread ones. */
export interface NotificationsRequest {
  unread?: boolean;
  limit?: number;
  before?: string | null;
}

/** Ask who is in a room. */
export interface PresenceRequest {
  room: string;
  limit?: number;
  cursor?: string | null;
}

/** Say something to every client of one client_id. */
export interface PrivateRequest {
  to: string;
  message: string;
  data?: unknown;
}

/** Go on with a new token of the same user. */
export interface RefreshTokenRequest {
  token: string;
}

/** Ask which rooms one is in. */
export interface RoomsRequest {
}

/** Hear a topic, or no longer. */
export interface SubscribeRequest {
  topic: string;
}

/** Show others in the room that one is typing, or stopped. */
export interface TypingRequest {
  room: string;
  is_typing: boolean;
}

/** What a client sends. */
export interface ClientToServerEvents {
  join: (payload: JoinRequest, ack?: Answer<RoomEntered>) => void;
  leave: (payload: LeaveRequest, ack?: Answer<RoomLeft>) => void;
  chat: (payload: ChatRequest, ack?: Answer<Published>) => void;
  broadcast: (payload: BroadcastRequest, ack?: Answer<Broadcasted>) => void;
  private: (payload: PrivateRequest, ack?: Answer<Delivered>) => void;
  typing: (payload: TypingRequest, ack?: Answer<Done>) => void;
  ping: (payload: unknown, ack?: Answer<Ponged>) => void;
  presence: (payload: PresenceRequest, ack?: Answer<MembersPage>) => void;
  history: (payload: HistoryRequest, ack?: Answer<HistoryPage>) => void;
  rooms: (payload: RoomsRequest, ack?: Answer<RoomNames>) => void;
  subscribe: (payload: SubscribeRequest, ack?: Answer<TopicName>) => void;
  unsubscribe: (payload: SubscribeRequest, ack?: Answer<TopicName>) => void;
  notifications: (payload: NotificationsRequest, ack?: Answer<InboxPage>) => void;
  mark_read: (payload: MarkReadRequest, ack?: Answer<MarkedRead>) => void;
  mark_all_read: (payload: MarkAllReadRequest, ack?: Answer<MarkedRead>) => void;
  refresh_token: (payload: RefreshTokenRequest, ack?: Answer<Refreshed>) => void;
  /**
   * What `socket.send(x)` emits. An object names its event by `message_type` (or `type`) and is a `chat` without
   * either; text that is a JSON object is the same object; any other text or scalar is a `broadcast` to everybody.
   * The acknowledgement is that of the event inside.
   */
  message: (envelope: Envelope, ack?: Answer<any>) => void;
}

export type Envelope =
  | string | number | boolean | null
  | { message_type?: string; type?: string; [field: string]: unknown };

/** What a client hears. Backends may publish events of other names: add yours by extending this. */
export interface ServerToClientEvents {
  welcome: (payload: Welcome) => void;
  chat: (payload: Publication) => void;
  broadcast: (payload: Publication) => void;
  private: (payload: PrivateMessage) => void;
  user_joined: (payload: RoomChange) => void;
  user_left: (payload: RoomChange) => void;
  user_typing: (payload: UserTyping) => void;
  client_connected: (payload: ConnectionChange) => void;
  client_disconnected: (payload: ConnectionChange) => void;
  notification: (payload: TopicNotification) => void;
  new_notification: (payload: UserNotification) => void;
  notification_read: (payload: NotificationsRead) => void;
  all_read: (payload: AllRead) => void;
  token_expiring: (payload: TokenExpiring) => void;
  disconnecting_by_server: (payload: Goodbye) => void;
  pong: (payload: Pong) => void;
  error: (payload: EventError) => void;
}
