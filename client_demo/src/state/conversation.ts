/** One conversation: a room, a direct thread with somebody, or everyone on the server. Pure data and pure functions. */
import type { Member } from "../rtclient";

export type ConversationId = "everyone" | `room:${string}` | `direct:${string}`;

export const EVERYONE = "everyone";
export const roomId = (room: string): ConversationId => `room:${room}`;
export const directId = (clientId: string): ConversationId => `direct:${clientId}`;

/**
 * `waiting` was never handed to the server; `failed` did not get through, or may have got lost on the way; `refused` will
 * never be taken as it is.
 */
export type Delivery = "sending" | "sent" | "waiting" | "failed" | "refused";

export interface Message {
  kind: "message";
  /** Stays the same for the life of the entry, so that its element can be kept. */
  key: string;
  /** The server's id, which sorts by time; null until it has given one. */
  id: string | null;
  /** Null for what code in the server says. */
  sender: string | null;
  name: string;
  text: string;
  at: number;
  mine: boolean;
  /** Sent as `broadcast` rather than `chat`. */
  broadcast: boolean;
  delivery: Delivery;
  /** What there is to say about the delivery: why it failed, whom it reached. */
  note: string;
}

/** A line of the server: somebody came or went. */
export interface Notice {
  kind: "notice";
  key: string;
  text: string;
  at: number;
}

export type Entry = Message | Notice;

export interface Typist {
  clientId: string;
  name: string;
  until: number;
}

export interface Conversation {
  id: ConversationId;
  kind: "everyone" | "room" | "direct";
  /** The room's name, the other's client_id, or "everyone". */
  target: string;
  title: string;
  entries: readonly Entry[];
  unread: number;
  /** The key of the first entry that arrived unseen, for the "new" line. */
  firstUnread: string | null;
  members: readonly Member[];
  count: number;
  typists: readonly Typist[];
}

/** A demo left open for a week must not eat the browser's memory. */
const KEPT_ENTRIES = 500;

export function conversation(id: ConversationId, title?: string): Conversation {
  const colon = id.indexOf(":");
  const target = colon < 0 ? id : id.slice(colon + 1);
  const kind = colon < 0 ? "everyone" : id.startsWith("room:") ? "room" : "direct";
  return {
    id,
    kind,
    target,
    title: title ?? (kind === "everyone" ? "Everyone" : target),
    entries: [],
    unread: 0,
    firstUnread: null,
    members: [],
    count: 0,
    typists: [],
  };
}

/** Adds an entry where it belongs; what is already there, known by its id, is not added twice. */
export function withEntry(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  if (entry.kind === "message" && entry.id !== null) {
    const known = entries.some((other) => other.kind === "message" && other.id === entry.id);
    if (known) return entries;
  }
  return entries.toSpliced(place(entries, entry), 0, entry).slice(-KEPT_ENTRIES);
}

/** Everybody shall see a room in the server's order, also when an acknowledgement was slower than the next message. */
function place(entries: readonly Entry[], entry: Entry): number {
  let index = entries.length;
  if (entry.kind !== "message" || entry.id === null) return index;
  for (let i = entries.length - 1; i >= 0; i -= 1) {
    const other = entries[i];
    if (other?.kind !== "message") continue;
    if (other.id !== null && other.id < entry.id) break;
    index = i;
  }
  return index;
}

/** The server has taken the message: it gets its id and its place. */
export function withSent(
  entries: readonly Entry[],
  key: string,
  sent: Pick<Message, "id" | "at" | "note">,
): readonly Entry[] {
  const message = find(entries, key);
  if (!message) return entries;
  const others = entries.filter((entry) => entry.key !== key);
  return withEntry(others, { ...message, ...sent, delivery: "sent" });
}

export function withDelivery(entries: readonly Entry[], key: string, delivery: Delivery, note = ""): readonly Entry[] {
  return entries.map((entry) => (entry.key === key && entry.kind === "message" ? { ...entry, delivery, note } : entry));
}

export function find(entries: readonly Entry[], key: string): Message | undefined {
  return entries.find((entry): entry is Message => entry.kind === "message" && entry.key === key);
}

export function withTypist(typists: readonly Typist[], typist: Typist, isTyping: boolean): readonly Typist[] {
  const others = typists.filter(({ clientId }) => clientId !== typist.clientId);
  return isTyping ? [...others, typist] : others;
}

export function withMember(members: readonly Member[], member: Member): readonly Member[] {
  return [...members.filter(({ client_id }) => client_id !== member.client_id), member];
}
