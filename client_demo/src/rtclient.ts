/**
 * A typed client for rtserver. Copy this file and events.ts into your project: their only dependency is
 * socket.io-client 4.
 *
 *   const client = new RtClient({ auth: { client_id: "ada", name: "Ada" } });
 *   client.on("chat", (message) => console.log(message.username, message.message));
 *   client.connect();
 *   await client.connected();
 *   await client.join("lobby");
 *   await client.chat("Hello!", { room: "lobby" });
 *
 * What it adds to a bare socket: every event and acknowledgement has a type, every request is a promise that
 * rejects with an RtError, rooms and topics are joined again after a reconnect that did not recover the session, and the
 * state of the connection is one value. Requests made while there is no connection reject at once instead of being sent,
 * unseen, minutes later.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";

import type {
  Answer, Broadcasted, ChatRequest, ClientToServerEvents, Envelope, ErrorBody, Goodbye, HistoryPage, HistoryRequest, InboxPage, JoinRequest,
  MembersPage, NotificationsRequest, PresenceRequest, Published, Reason, Refreshed, RoomEntered, ServerToClientEvents,
} from "./events";

export * from "./events";

// ------------------------------------------------------------------------------------------------ errors and status

/** A request that failed: refused by the server (`code` as in its documentation) or never answered (`code` 0). */
export class RtError extends Error {
  override readonly name = "RtError";

  constructor(
    readonly code: number,
    readonly reason: Reason | "not_connected" | "timeout",
    message: string,
    /** Seconds to wait before the next try, when the server said so. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }

  static from(body: ErrorBody): RtError {
    return new RtError(body.code, body.reason, body.message, body.retry_after);
  }
}

export interface Status {
  /** `reconnecting` keeps trying by itself; `closed` stays closed until connect() is called. */
  phase: "connecting" | "connected" | "reconnecting" | "closed";
  /** Whether this connection goes on where the last one was cut: in the same rooms, and with everything that was missed. */
  recovered: boolean;
  /** `polling` or `websocket` while connected. */
  transport: string | null;
  /** How many times in a row connecting has failed. */
  attempt: number;
  /** What the server said when it refused or ended the connection. */
  goodbye: Goodbye | null;
}

export interface Auth {
  token?: string;
  client_id?: string;
  name?: string;
}

export interface RtClientOptions {
  /** Where the server is; the page's own origin by default. */
  url?: string;
  /** Who one is. A function is asked for a fresh token at every attempt to connect, and before a token expires. */
  auth?: Auth | ((send: (auth: Auth) => void) => void);
  /** Milliseconds to wait for an acknowledgement. */
  timeout?: number;
  /** Anything else socket.io-client takes. */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

type RtSocket = Socket<ServerToClientEvents, ClientToServerEvents>;
type Stop = () => void;

/** Called for every room after a reconnect: with what the server answered, or why it no longer lets us in. */
type RejoinListener = (room: string, result: RoomEntered | RtError) => void;

// ------------------------------------------------------------------------------------------------------- the client

export class RtClient {
  /** The socket underneath, for everything this class does not wrap. */
  readonly socket: RtSocket;

  #status: Status = { phase: "closed", recovered: false, transport: null, attempt: 0, goodbye: null };
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #timeout: number;
  /** The rooms to be in, each with the last offset seen there and how much history was asked for. */
  readonly #rooms = new Map<string, { offset: number; history: number }>();
  /** Those of them that this session has not entered yet. */
  readonly #outside = new Set<string>();
  readonly #topics = new Set<string>();
  readonly #statusListeners = new Set<(status: Status) => void>();
  readonly #rejoinListeners = new Set<RejoinListener>();

  constructor({ url, auth = {}, timeout = 10_000, socket = {} }: RtClientOptions = {}) {
    const options = { ...socket, auth, autoConnect: false };
    this.socket = url === undefined ? io(options) : io(url, options);
    this.#timeout = timeout;
    this.#watch();
    if (typeof auth === "function") {
      // Without a new token the connection ends, and the next one is asked for it anyway.
      this.on("token_expiring", () => auth(({ token }) => void (token && this.refreshToken(token).catch(() => {}))));
    }
  }

  get status(): Status {
    return this.#status;
  }

  connect(): void {
    clearTimeout(this.#retry);
    if (this.socket.connected) return;
    this.#set({ phase: "connecting", recovered: false, transport: null, attempt: 0, goodbye: null });
    this.socket.connect();
  }

  disconnect(): void {
    clearTimeout(this.#retry);
    this.#rooms.clear();
    this.#outside.clear();
    this.#topics.clear();
    this.socket.disconnect();
    this.#set({ phase: "closed", recovered: false, transport: null, attempt: 0, goodbye: null });
  }

  /** Resolves once connected; rejects when the server refuses for good. */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      const judge = ({ phase, goodbye }: Status): void => {
        if (phase === "connected") resolve();
        else if (phase === "closed") {
          reject(goodbye ? RtError.from(goodbye) : new RtError(0, "not_connected", "Not connected."));
        } else return;
        stop();
      };
      const stop = this.onStatus(judge);
      judge(this.#status);
    });
  }

  /** Listens to a server event; returns the function that stops listening. */
  on<E extends keyof ServerToClientEvents>(event: E, listener: ServerToClientEvents[E]): Stop {
    // socket.io-client types a listener by a conditional type that a generic event name cannot resolve.
    this.socket.on(event, listener as never);
    return () => this.socket.off(event, listener as never);
  }

  onStatus(listener: (status: Status) => void): Stop {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  onRejoin(listener: RejoinListener): Stop {
    this.#rejoinListeners.add(listener);
    return () => this.#rejoinListeners.delete(listener);
  }

  async join(room: string, options: Omit<JoinRequest, "room"> = {}): Promise<RoomEntered> {
    const joined = await this.#ask<RoomEntered>((socket, done) => socket.emit("join", { room, ...options }, done));
    this.#rooms.set(joined.room, { offset: joined.offset, history: options.history ?? 0 });
    this.#outside.delete(joined.room);
    return joined;
  }

  async leave(room: string): Promise<void> {
    // Forgotten first: a leave that is cut off by a lost connection must not be undone by the next one.
    this.#rooms.delete(room);
    this.#outside.delete(room);
    await this.#ask<{ room: string }>((socket, done) => socket.emit("leave", { room }, done));
  }

  async chat(message: string, options: Omit<ChatRequest, "message"> = {}): Promise<Published> {
    const sent = await this.#ask<Published>((socket, done) => socket.emit("chat", { message, ...options }, done));
    this.#seen(options.room, sent.offset);
    return sent;
  }

  async broadcast(message: string, options: Omit<ChatRequest, "message"> = {}): Promise<Broadcasted> {
    const sent = await this.#ask<Broadcasted>((socket, done) =>
      socket.emit("broadcast", { message, ...options }, done),
    );
    this.#seen(options.room, sent.offset);
    return sent;
  }

  private(to: string, message: string, data?: unknown): Promise<{ id: string; timestamp: string; delivered: number }> {
    const payload = data === undefined ? { to, message } : { to, message, data };
    return this.#ask((socket, done) => socket.emit("private", payload, done));
  }

  /** Tells the others in the room; volatile, so it is dropped rather than delayed. */
  typing(room: string, isTyping: boolean): void {
    if (this.socket.connected) this.socket.volatile.emit("typing", { room, is_typing: isTyping });
  }

  /** The round trip in milliseconds. */
  async ping(): Promise<number> {
    const start = performance.now();
    await this.#ask((socket, done) => socket.emit("ping", {}, done));
    return performance.now() - start;
  }

  /** Who is in a room, a page at a time: ask again with `cursor: page.next` until there is no `next`. */
  presence(room: string, options: Omit<PresenceRequest, "room"> = {}): Promise<MembersPage> {
    return this.#ask((socket, done) => socket.emit("presence", { room, ...options }, done));
  }

  /** What was said in a room. */
  history(room: string, options: Omit<HistoryRequest, "room"> = {}): Promise<HistoryPage> {
    return this.#ask((socket, done) => socket.emit("history", { room, ...options }, done));
  }

  /** Goes on with a new token of the same user; rooms that only the old one opened are left. */
  async refreshToken(token: string): Promise<Refreshed> {
    const done = await this.#ask<Refreshed>((socket, done) => socket.emit("refresh_token", { token }, done));
    for (const room of done.left ?? []) this.#rooms.delete(room);
    return done;
  }

  async rooms(): Promise<string[]> {
    return (await this.#ask<{ rooms: string[] }>((socket, done) => socket.emit("rooms", {}, done))).rooms;
  }

  /** Hears what backends tell a topic, after a reconnect as well. */
  async subscribe(topic: string): Promise<void> {
    const heard = await this.#ask<{ topic: string }>((socket, done) => socket.emit("subscribe", { topic }, done));
    this.#topics.add(heard.topic);
  }

  async unsubscribe(topic: string): Promise<void> {
    this.#topics.delete(topic);
    await this.#ask<{ topic: string }>((socket, done) => socket.emit("unsubscribe", { topic }, done));
  }

  /** The inbox of who is signed in, a page at a time. */
  notifications(options: NotificationsRequest = {}): Promise<InboxPage> {
    return this.#ask((socket, done) => socket.emit("notifications", options, done));
  }

  /** Returns how many were not read before. All tabs of the user get `notification_read`. */
  async markRead(ids: string[]): Promise<number> {
    const payload = { notification_ids: ids };
    return (await this.#ask<{ marked: number }>((socket, done) => socket.emit("mark_read", payload, done))).marked;
  }

  /** Returns how many were not read before. All tabs of the user get `all_read`. */
  async markAllRead(): Promise<number> {
    return (await this.#ask<{ marked: number }>((socket, done) => socket.emit("mark_all_read", {}, done))).marked;
  }

  /**
   * Sends an envelope, as `socket.send` does; what comes back is the acknowledgement of the event inside. A room that
   * is joined this way is not joined again after a reconnect: use join() for that.
   */
  send<T = object>(envelope: Envelope): Promise<T> {
    return this.#ask<T>((socket, done) => socket.emit("message", envelope, done));
  }

  /** Sends one request and turns its acknowledgement into a promise. */
  #ask<T>(send: (socket: RtSocket, done: Answer<T>) => void): Promise<T> {
    const { socket } = this;
    return new Promise<T>((resolve, reject) => {
      if (!socket.connected) throw new RtError(0, "not_connected", "There is no connection to the server.");
      const fail = (error: RtError): void => {
        settle();
        reject(error);
      };
      const lost = (): void => fail(new RtError(0, "not_connected", "The connection was lost before the server answered."));
      const late = setTimeout(() => fail(new RtError(0, "timeout", "The server did not answer in time.")), this.#timeout);
      const settle = (): void => {
        clearTimeout(late);
        socket.off("disconnect", lost);
      };
      socket.on("disconnect", lost);
      send(socket, (ack) => {
        if (!ack.ok) return fail(RtError.from(ack.error));
        settle();
        resolve(ack);
      });
    });
  }

  #watch(): void {
    const { socket } = this;
    let goodbye: Goodbye | null = null;

    socket.on("connect", () => {
      goodbye = null;
      // Every connection has its own engine, which may start on polling and upgrade a moment later.
      const engine = socket.io.engine;
      engine.on("upgrade", (transport) => this.#set({ ...this.#status, transport: transport.name }));
      const recovered = Boolean(socket.recovered);
      // A recovered session is still in its rooms and is sent what it missed, after this.
      if (!recovered) for (const room of this.#rooms.keys()) this.#outside.add(room);
      this.#set({ phase: "connected", recovered, transport: engine.transport.name, attempt: 0, goodbye: null });
      this.#rejoin();
    });
    socket.on("disconnecting_by_server", (payload) => {
      goodbye = payload;
    });
    socket.on("disconnect", () => this.#lost(goodbye));
    socket.on("connect_error", (error) => {
      const refusal = (error as Error & { data?: Goodbye }).data ?? null;
      this.#lost(socket.active ? goodbye : refusal, this.#status.attempt + 1);
    });
    for (const event of ["chat", "broadcast"] as const) {
      socket.on(event, ({ room, offset }) => this.#seen(room, offset));
    }
  }

  /** The connection is gone, or did not come about. */
  #lost(goodbye: Goodbye | null, attempt = 0): void {
    if (this.socket.active) {
      const phase = this.#status.phase === "connecting" ? "connecting" : "reconnecting";
      this.#set({ phase, recovered: false, transport: null, attempt, goodbye });
    } else if (goodbye?.reconnect) {
      // socket.io-client gives up once a server has refused or ended a connection itself.
      this.#set({ phase: "reconnecting", recovered: false, transport: null, attempt, goodbye });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.socket.connect(), 2_000 + Math.random() * 3_000);
    } else if (this.#status.phase !== "closed") {
      this.#set({ phase: "closed", recovered: false, transport: null, attempt, goodbye });
    }
  }

  /** Remembers how far we are in a room: from there we catch up after a reconnect. */
  #seen(room: string | null | undefined, offset: number): void {
    const joined = this.#rooms.get(room ?? "");
    if (joined) joined.offset = Math.max(joined.offset, offset);
  }

  #rejoin(): void {
    for (const topic of this.#topics) {
      this.subscribe(topic).catch((error: RtError) => {
        if (error.reason !== "not_connected") this.#topics.delete(topic);
      });
    }
    for (const room of this.#outside) {
      this.#joinAgain(room).then(
        (joined) => this.#rejoinListeners.forEach((tell) => tell(room, joined)),
        (error: RtError) => {
          // When the line broke again, the next connection tries again.
          if (error.reason === "not_connected") return;
          this.#rooms.delete(room);
          this.#outside.delete(room);
          this.#rejoinListeners.forEach((tell) => tell(room, error));
        },
      );
    }
  }

  /** Catches up from where we were; when the server cannot tell any more what came since, with the latest it has. */
  async #joinAgain(room: string): Promise<RoomEntered> {
    const { offset: since, history } = this.#rooms.get(room) ?? { offset: 0, history: 0 };
    const joined = await this.join(room, { since });
    if (!joined.recovered && history > 0) return { ...(await this.join(room, { history })), recovered: false };
    const kept = this.#rooms.get(room);
    if (kept) kept.history = history;
    return joined;
  }

  #set(status: Status): void {
    this.#status = status;
    this.#statusListeners.forEach((tell) => tell(status));
  }
}
