/** One person's time with the server: what the views want done, and what the server tells, as actions on the store. */
import { InboxKeeper } from "./inbox";
import type { Memory } from "./memory";
import { RtClient, RtError, type RoomEntered, type Publication, type RoomChange } from "./rtclient";
import {
  EVERYONE,
  directId,
  find,
  roomId,
  type Conversation,
  type ConversationId,
  type Message,
} from "./state/conversation";
import { moment, received } from "./state/message";
import { currentConversation } from "./state/select";
import type { Toast } from "./state/state";
import type { Store } from "./state/store";
import { TYPING_LASTS, TypingSignal } from "./typing";

export interface Credentials {
  name: string;
  token: string;
  rooms: string[];
}

const HISTORY = 50;
const PING_EVERY = 3_000;
const PRESENCE_EVERY = 10_000;
/** Nobody hears of a second tab, so signs of life are taken for a reason to ask; in a busy room not for every one. */
const PRESENCE_SOON = 300;
const PRESENCE_PAUSE = 2_000;

/** Sending the same again cannot help. */
const FINAL: readonly string[] = ["message_too_large", "bad_request"];

export class Session {
  #client: RtClient | null = null;
  #inbox: InboxKeeper | null = null;
  #timers: ReturnType<typeof setInterval>[] = [];
  #presenceTimer: ReturnType<typeof setTimeout> | undefined;
  #presenceAskedAt = 0;
  /** Signed in by a token, which is not kept: a reloaded tab asks again. */
  #secret = false;
  #keys = 0;
  readonly #typing = new TypingSignal((room, isTyping) => this.#client?.typing(room, isTyping));

  constructor(
    private readonly store: Store,
    private readonly memory: Memory,
  ) {}

  /** For the browser's console. */
  get client(): RtClient | null {
    return this.#client;
  }

  start({ name, token, rooms }: Credentials): void {
    this.#stop();
    this.#secret = token !== "";
    if (name) this.memory.name = name;
    const client = new RtClient({ auth: token ? { token, ...(name && { name }) } : { client_id: name, name } });
    this.#client = client;
    this.#listen(client);
    let before = client.status.phase;
    this.#inbox = new InboxKeeper(
      client,
      this.store,
      (it) => this.toast(it.level, "topic" in it ? `${it.topic}: ${it.title}` : it.title, it.message),
      (title, error) => this.#toastError(title, error),
    );
    client.onStatus((status) => {
      if (this.#client !== client) return;
      // A connection that changes its transport is the same one.
      const came = status.phase === "connected" && before !== "connected";
      before = status.phase;
      const first = status.phase === "connected" && this.store.state.me === null;
      // A server may be set to welcome nobody.
      if (first) this.#welcomed(name || "you", name || "you", false);
      this.store.dispatch({ type: "status", status });
      if (first) rooms.forEach((room, i) => void this.join(room, i === 0));
      if (came) this.#connected(client, first);
      else if (status.phase !== "connected") this.#typing.over();
    });
    client.onRejoin((room, result) => this.#rejoined(room, result));
    this.#timers = [
      setInterval(() => void this.#measure(), PING_EVERY),
      setInterval(() => this.looked(), PRESENCE_EVERY),
    ];
    client.connect();
  }

  end(): void {
    this.#stop();
    this.memory.tab = null;
    this.store.dispatch({ type: "signed_out" });
  }

  #stop(): void {
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#presenceTimer);
    this.#presenceTimer = undefined;
    this.#typing.stop();
    const client = this.#client;
    // Forgotten first, so that its last change of state is not ours any more.
    this.#client = null;
    client?.disconnect();
  }

  /** Marks one notification as read, or all. */
  async read(id?: string): Promise<void> {
    await this.#inbox?.read(id);
  }

  reconnect(): void {
    this.#client?.connect();
  }

  async join(name: string, open = true): Promise<void> {
    const error = await this.enter(name, open);
    if (error) this.#toastError(`Could not join ${name}`, error);
  }

  /** Joins a room; what stood in the way is for the caller to show. */
  async enter(name: string, open = true): Promise<RtError | null> {
    const id = roomId(name);
    if (open && this.store.state.conversations.some((it) => it.id === id)) {
      this.open(id);
      return null;
    }
    try {
      const joined = await this.#client?.join(name, { history: HISTORY });
      if (!joined) return null;
      this.store.dispatch({ type: "joined", joined, open });
      this.store.dispatch({ type: "known_rooms", rooms: this.memory.remember(joined.room) });
      this.#saveTab();
      return null;
    } catch (error) {
      if (!(error instanceof RtError)) throw error;
      return error;
    }
  }

  /** Somebody looks at the page: what nobody announces, such as a member's second tab, is asked for. */
  looked(): void {
    if (this.store.state.visible) this.#presenceSoon(this.store.state.current);
  }

  /** Leaves a room, or puts a direct conversation away. */
  async close({ id, kind, target }: Conversation): Promise<void> {
    try {
      if (kind === "room") await this.#client?.leave(target);
    } catch (error) {
      // Without a connection there is nothing to leave: the client forgets the room and will not join it again.
      if (error instanceof RtError && error.reason !== "not_connected") this.#toastError(`Could not leave ${target}`, error);
    }
    // Only now: a message still on its way to us must not bring the room back.
    this.store.dispatch({ type: "closed", id });
    this.#saveTab();
  }

  forget(room: string): void {
    this.store.dispatch({ type: "known_rooms", rooms: this.memory.forget(room) });
  }

  open(id: ConversationId, title?: string): void {
    this.#typing.stop();
    this.store.dispatch(title === undefined ? { type: "opened", id } : { type: "opened", id, title });
    void this.#askPresence(currentConversation(this.store.state));
  }

  say(text: string): void {
    const { current, me } = this.store.state;
    if (!me) return;
    this.#typing.over();
    const message: Message = {
      kind: "message",
      key: this.#key("mine"),
      id: null,
      sender: me.clientId,
      name: me.name,
      text,
      at: Date.now(),
      mine: true,
      broadcast: current === EVERYONE,
      delivery: "sending",
      note: "",
    };
    this.store.dispatch({ type: "said", id: current, message });
    void this.#send(current, message);
  }

  retry(id: ConversationId, key: string): void {
    const message = find(this.#conversation(id)?.entries ?? [], key);
    if (message) void this.#send(id, message);
  }

  discard(id: ConversationId, key: string): void {
    this.store.dispatch({ type: "discarded", id, key });
  }

  /** Puts a message that was not sent back into the composer. */
  edit(id: ConversationId, key: string): void {
    this.store.dispatch({ type: "taken_back", id, key });
  }

  /** A key was pressed in the composer, which is `empty` after that or not. */
  typed(empty: boolean): void {
    const { kind, target } = currentConversation(this.store.state);
    if (empty) this.#typing.stop();
    else if (kind === "room") this.#typing.touch(target);
  }

  toast(tone: Toast["tone"], title: string, text: string): void {
    this.store.dispatch({ type: "toast", toast: { key: this.#key("toast"), tone, title, text } });
  }

  // ------------------------------------------------------------------------------------------------------- sending

  async #send(id: ConversationId, { key, text }: Message): Promise<void> {
    const client = this.#client;
    const conversation = this.#conversation(id);
    if (!client || !conversation) return;
    if (client.status.phase !== "connected") {
      this.store.dispatch({ type: "delivery", id, key, delivery: "waiting" });
      return;
    }
    this.store.dispatch({ type: "delivery", id, key, delivery: "sending" });
    try {
      const receipt = await deliver(client, conversation, text);
      this.store.dispatch({ type: "sent", id, key, receipt });
    } catch (error) {
      if (!(error instanceof RtError)) throw error;
      const delivery = FINAL.includes(error.reason) ? "refused" : "failed";
      this.store.dispatch({ type: "delivery", id, key, delivery, note: `${error.reason}: ${error.message}` });
      // The message itself says it where it can be seen.
      if (this.store.state.current !== id) this.#toastError(`Not sent to ${conversation.title}`, error);
    }
  }

  /** Sends, in their order, the messages that were written without a connection. */
  async #flush(which: (conversation: Conversation) => boolean): Promise<void> {
    for (const { id, entries } of this.store.state.conversations.filter(which)) {
      for (const entry of entries) {
        if (entry.kind === "message" && entry.delivery === "waiting") await this.#send(id, entry);
      }
    }
  }

  // ----------------------------------------------------------------------------------------------------- listening

  #connected(client: RtClient, first: boolean): void {
    void this.#measure();
    const { recovered } = client.status;
    // Also after a recovery: what was read in another tab meanwhile need not be among what is sent again.
    void this.#inbox?.load();
    if (first) return;
    // Rooms that have to be joined again are flushed once we are back in them.
    void this.#flush(({ kind }) => recovered || kind !== "room");
    if (!recovered) return;
    for (const { id } of this.store.state.conversations) this.#notice(id, "Reconnected, nothing missed", Date.now());
    void this.#askPresence(currentConversation(this.store.state));
  }

  #rejoined(room: string, result: RoomEntered | RtError): void {
    const id = roomId(room);
    if (result instanceof RtError) {
      this.#toastError(`No longer in ${room}`, result);
      this.#notice(id, `You are no longer in this room: ${result.message}`, Date.now());
      return;
    }
    this.store.dispatch({ type: "joined", joined: result, open: false });
    const text = result.recovered ? "Reconnected" : "Reconnected; messages from the time between may be missing";
    this.#notice(id, text, Date.now());
    void this.#flush((it) => it.id === id);
  }

  #listen(client: RtClient): void {
    const { store } = this;
    client.on("welcome", ({ client_id, name, verified }) => this.#welcomed(client_id, name, verified));
    client.on("chat", (publication) => this.#published(publication, false));
    client.on("broadcast", (publication) => this.#published(publication, true));
    client.on("private", (payload) => {
      const message = received(payload, this.#me());
      // What code in the server says privately stands in a conversation with it.
      const peer = message.mine ? payload.to : (payload.sender ?? payload.username);
      const title = message.mine ? {} : { title: payload.username };
      store.dispatch({ type: "said", id: directId(peer), message, ...title });
    });
    client.on("user_joined", (change) => this.#memberJoined(change));
    client.on("user_left", ({ room, client_id, count, message, timestamp }) => {
      store.dispatch({ type: "member_left", room, clientId: client_id, count });
      this.#notice(roomId(room), message, moment(timestamp));
    });
    client.on("user_typing", ({ room, client_id, username, is_typing }) => {
      const until = Date.now() + TYPING_LASTS;
      store.dispatch({ type: "typing", room, clientId: client_id, name: username, until, isTyping: is_typing });
      if (is_typing) setTimeout(() => this.#expireTyping(), TYPING_LASTS + 50);
      this.#presenceSoon(roomId(room));
    });
    for (const event of ["client_connected", "client_disconnected"] as const) {
      client.on(event, ({ message, timestamp }) => this.#notice(EVERYONE, message, moment(timestamp)));
    }
    client.on("error", (body) => {
      // Whether others see us typing is not worth a warning.
      if (body.event !== "typing") this.#toastError(`${body.event} was refused`, RtError.from(body));
    });
  }

  #published(publication: Publication, broadcast: boolean): void {
    const { room } = publication;
    const id = room === null ? EVERYONE : roomId(room);
    this.store.dispatch({ type: "said", id, message: received(publication, this.#me(), broadcast) });
    this.#presenceSoon(id);
  }

  #memberJoined({ room, client_id, name, count, message, timestamp }: RoomChange): void {
    const member = { client_id, name, verified: false, connections: 1, joined_at: timestamp };
    this.store.dispatch({ type: "member_joined", room, member, count });
    this.#notice(roomId(room), message, moment(timestamp));
    // The announcement does not say whether the newcomer is verified.
    this.#presenceSoon(roomId(room));
  }

  #welcomed(clientId: string, name: string, verified: boolean): void {
    this.store.dispatch({ type: "welcomed", me: { clientId, name, verified } });
  }

  async #measure(): Promise<void> {
    try {
      const ms = await this.#client?.ping();
      if (ms !== undefined) this.store.dispatch({ type: "round_trip", ms });
    } catch {
      // The state of the connection says it better than a failed measurement.
    }
  }

  /** Asks who is in the room on screen, once for many reasons at a time. Others are asked about when they are opened. */
  #presenceSoon(id: ConversationId): void {
    if (id !== this.store.state.current || this.#presenceTimer !== undefined) return;
    const wait = Math.max(PRESENCE_SOON, this.#presenceAskedAt + PRESENCE_PAUSE - Date.now());
    this.#presenceTimer = setTimeout(() => {
      this.#presenceTimer = undefined;
      void this.#askPresence(currentConversation(this.store.state));
    }, wait);
  }

  async #askPresence(conversation: Conversation | undefined): Promise<void> {
    if (conversation?.kind !== "room") return;
    const room = conversation.target;
    this.#presenceAskedAt = Date.now();
    try {
      const presence = await this.#client?.presence(room);
      if (presence) this.store.dispatch({ type: "presence", room, presence });
    } catch {
      // A room may keep its presence to itself; what the join told stays on screen.
    }
  }

  #expireTyping(): void {
    const now = Date.now();
    const due = this.store.state.conversations.some(({ typists }) => typists.some(({ until }) => until <= now));
    if (due) this.store.dispatch({ type: "typing_expired", now });
  }

  // ------------------------------------------------------------------------------------------------------- helpers

  #toastError(title: string, error: RtError): void {
    this.toast("error", `${title} (${error.reason})`, sentence(error));
  }

  #notice(id: ConversationId, text: string, at: number): void {
    this.store.dispatch({ type: "noticed", id, key: this.#key("notice"), text, at });
  }

  #conversation(id: ConversationId): Conversation | undefined {
    return this.store.state.conversations.find((it) => it.id === id);
  }

  #saveTab(): void {
    const { conversations, me } = this.store.state;
    const rooms = conversations.filter(({ kind }) => kind === "room").map(({ target }) => target);
    if (me && !this.#secret) this.memory.tab = { name: me.name, rooms };
  }

  #me(): string {
    return this.store.state.me?.clientId ?? "";
  }

  #key(what: string): string {
    this.#keys += 1;
    return `${what} ${this.#keys}`;
  }
}

/** What the server said, for people. */
export function sentence({ message, retryAfter }: RtError): string {
  const wait = retryAfter === undefined ? "" : ` Try again in ${Math.ceil(retryAfter)} s.`;
  return message.replace(/[.\s]*$/u, ".") + wait;
}

async function deliver(
  client: RtClient,
  { kind, target }: Conversation,
  text: string,
): Promise<Pick<Message, "id" | "at" | "note">> {
  // The page shows its own message at once, so the server need not send it back.
  if (kind === "room") {
    const { id, timestamp } = await client.chat(text, { room: target, echo: false });
    return { id, at: moment(timestamp), note: "" };
  }
  if (kind === "direct") {
    const { id, timestamp } = await client.private(target, text);
    return { id, at: moment(timestamp), note: "" };
  }
  const { id, timestamp, recipients } = await client.broadcast(text, { echo: false });
  return { id, at: moment(timestamp), note: `heard by ${recipients === 0 ? "nobody" : recipients}` };
}
