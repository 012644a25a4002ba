/** Everything the page shows, as one value. */
import type { Status } from "../rtclient";
import type { Inbox } from "./inbox";
import { EVERYONE, conversation, type Conversation, type ConversationId } from "./conversation";

export interface Me {
  clientId: string;
  name: string;
  verified: boolean;
}

export interface Toast {
  key: string;
  tone: "error" | "info" | "success" | "warning";
  title: string;
  text: string;
}

export interface State {
  /** Null until a connection has been accepted: the page asks for a name. */
  me: Me | null;
  status: Status;
  /** The latest round trips in milliseconds, newest last. */
  roundTrips: readonly number[];
  conversations: readonly Conversation[];
  current: ConversationId;
  /** Whether somebody can see the page: what arrives in a hidden tab counts as unread. */
  visible: boolean;
  /** Rooms one was in before, newest first. */
  knownRooms: readonly string[];
  toasts: readonly Toast[];
  /** Null until it was loaded, and for a guest, who has none. */
  inbox: Inbox | null;
  /** A message that was taken back to be written anew, until the next one is. */
  takenBack: { id: ConversationId; text: string } | null;
}

export const initialState: State = {
  me: null,
  status: { phase: "closed", recovered: false, transport: null, attempt: 0, goodbye: null },
  roundTrips: [],
  conversations: [conversation(EVERYONE)],
  current: EVERYONE,
  visible: true,
  knownRooms: [],
  toasts: [],
  inbox: null,
  takenBack: null,
};
