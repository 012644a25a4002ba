/** What the server sends, as entries of a conversation. */
import type { PrivateMessage, Publication, Recorded, RecordedMessage } from "../rtclient";
import type { Message } from "./conversation";

/** `broadcast` tells apart what was sent as `broadcast` from what was sent as `chat` or `private`. */
export function received(from: Publication | PrivateMessage, me: string, broadcast = false): Message {
  return {
    kind: "message",
    key: from.id,
    id: from.id,
    sender: from.sender,
    name: from.username,
    text: from.message,
    at: moment(from.timestamp),
    mine: from.sender === me,
    broadcast,
    delivery: "sent",
    note: "",
  };
}

/** A room's history also holds what backends published under names and in shapes of their own. */
export function isMessage(value: Recorded): value is RecordedMessage {
  const it = value as Partial<RecordedMessage> | null;
  return typeof it?.id === "string" && typeof it.message === "string" && (it.sender === null || typeof it.sender === "string");
}

export function moment(timestamp: string): number {
  const at = Date.parse(timestamp);
  return Number.isNaN(at) ? Date.now() : at;
}
