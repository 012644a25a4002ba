/** Everything that can happen to the state. */
import type { InboxPage, Member, MembersPage, RoomEntered, Status, UserNotification } from "../rtclient";
import type { ConversationId, Delivery, Message } from "./conversation";
import type { Me, Toast } from "./state";

export type Action =
  | { type: "status"; status: Status }
  | { type: "round_trip"; ms: number }
  | { type: "welcomed"; me: Me }
  | { type: "signed_out" }
  | { type: "visible"; visible: boolean }
  | { type: "known_rooms"; rooms: readonly string[] }
  | { type: "opened"; id: ConversationId; title?: string }
  | { type: "closed"; id: ConversationId }
  | { type: "joined"; joined: RoomEntered; open: boolean }
  | { type: "said"; id: ConversationId; title?: string; message: Message }
  | { type: "noticed"; id: ConversationId; key: string; text: string; at: number }
  | { type: "sent"; id: ConversationId; key: string; receipt: Pick<Message, "id" | "at" | "note"> }
  | { type: "delivery"; id: ConversationId; key: string; delivery: Delivery; note?: string }
  | { type: "discarded"; id: ConversationId; key: string }
  | { type: "taken_back"; id: ConversationId; key: string }
  | { type: "member_joined"; room: string; member: Member; count: number }
  | { type: "member_left"; room: string; clientId: string; count: number }
  | { type: "presence"; room: string; presence: MembersPage }
  | { type: "typing"; room: string; clientId: string; name: string; until: number; isTyping: boolean }
  | { type: "typing_expired"; now: number }
  | { type: "inbox"; page: InboxPage | null }
  | { type: "notified"; notification: UserNotification }
  | { type: "notifications_read"; ids: readonly string[]; at: string }
  | { type: "all_read"; at: string }
  | { type: "toast"; toast: Toast }
  | { type: "toast_gone"; key: string };
