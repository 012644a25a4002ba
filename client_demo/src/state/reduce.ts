/** The next state after something happened. Pure: no clock, no DOM, no socket. */
import type { MembersPage } from "../rtclient";
import type { Action } from "./action";
import {
  EVERYONE,
  conversation,
  find,
  roomId,
  withDelivery,
  withEntry,
  withMember,
  withSent,
  withTypist,
  type Conversation,
  type ConversationId,
  type Entry,
  type Message,
} from "./conversation";
import { withAllRead, withNew, withPage, withRead } from "./inbox";
import { isMessage, received } from "./message";
import { initialState, type State } from "./state";

const KEPT_ROUND_TRIPS = 30;
const KEPT_TOASTS = 4;

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "status":
      return {
        ...state,
        status: action.status,
        // A measurement says nothing about the connection after the next one, and who typed will not tell us the end.
        ...(action.status.phase !== "connected" && { roundTrips: [], conversations: state.conversations.map(silent) }),
      };
    case "round_trip":
      return { ...state, roundTrips: [...state.roundTrips, action.ms].slice(-KEPT_ROUND_TRIPS) };
    case "welcomed":
      return { ...state, me: action.me };
    case "signed_out":
      return { ...initialState, visible: state.visible, knownRooms: state.knownRooms, toasts: state.toasts };
    case "visible":
      return seen({ ...state, visible: action.visible });
    case "known_rooms":
      return { ...state, knownRooms: action.rooms };
    case "opened":
      return opened(ensured(state, action.id, action.title), action.id);
    case "closed":
      return closed(state, action.id);
    case "joined":
      return joined(state, action);
    case "said":
      return arrived(ensured(state, action.id, action.title), action.id, action.message);
    case "noticed": {
      const { key, text, at } = action;
      return change(state, action.id, (it) => ({ ...it, entries: withEntry(it.entries, { kind: "notice", key, text, at }) }));
    }
    case "sent":
      return changeEntries(state, action.id, (entries) => withSent(entries, action.key, action.receipt));
    case "delivery":
      return changeEntries(state, action.id, (entries) => withDelivery(entries, action.key, action.delivery, action.note));
    case "discarded":
      return changeEntries(state, action.id, (entries) => entries.filter(({ key }) => key !== action.key));
    case "taken_back": {
      const { id, key } = action;
      const message = state.conversations.flatMap((it) => (it.id === id ? (find(it.entries, key) ?? []) : []))[0];
      if (!message) return state;
      return reduce({ ...state, takenBack: { id, text: message.text } }, { type: "discarded", id, key });
    }
    case "member_joined":
      return change(state, roomId(action.room), (it) => ({
        ...it,
        members: withMember(it.members, action.member),
        count: action.count,
      }));
    case "member_left":
      return change(state, roomId(action.room), (it) => ({
        ...it,
        members: it.members.filter(({ client_id }) => client_id !== action.clientId),
        typists: it.typists.filter(({ clientId }) => clientId !== action.clientId),
        count: action.count,
      }));
    case "presence":
      return change(state, roomId(action.room), (it) => withPresence(it, action.presence));
    case "typing": {
      const { clientId, name, until, isTyping } = action;
      return change(state, roomId(action.room), (it) => ({
        ...it,
        typists: withTypist(it.typists, { clientId, name, until }, isTyping),
      }));
    }
    case "typing_expired":
      return {
        ...state,
        conversations: state.conversations.map((it) =>
          it.typists.some(({ until }) => until <= action.now)
            ? { ...it, typists: it.typists.filter(({ until }) => until > action.now) }
            : it,
        ),
      };
    case "inbox":
      return { ...state, inbox: action.page && withPage(action.page) };
    case "notified":
      return { ...state, inbox: state.inbox && withNew(state.inbox, action.notification) };
    case "notifications_read":
      return { ...state, inbox: state.inbox && withRead(state.inbox, action.ids, action.at) };
    case "all_read":
      return { ...state, inbox: state.inbox && withAllRead(state.inbox, action.at) };
    case "toast":
      // What is said already need not be said twice.
      if (state.toasts.some(({ title, text }) => title === action.toast.title && text === action.toast.text)) return state;
      return { ...state, toasts: [...state.toasts, action.toast].slice(-KEPT_TOASTS) };
    case "toast_gone":
      return { ...state, toasts: state.toasts.filter(({ key }) => key !== action.key) };
  }
}

function change(state: State, id: ConversationId, next: (it: Conversation) => Conversation): State {
  return { ...state, conversations: state.conversations.map((it) => (it.id === id ? next(it) : it)) };
}

function changeEntries(state: State, id: ConversationId, next: (entries: readonly Entry[]) => readonly Entry[]): State {
  return change(state, id, (it) => ({ ...it, entries: next(it.entries) }));
}

function ensured(state: State, id: ConversationId, title?: string): State {
  if (state.conversations.some((it) => it.id === id)) {
    return title === undefined ? state : change(state, id, (it) => ({ ...it, title }));
  }
  return { ...state, conversations: [...state.conversations, conversation(id, title)] };
}

function opened(state: State, id: ConversationId): State {
  if (state.current === id) return seen(state);
  // The "new" line has done its work once its conversation was looked at and left.
  const left = change(state, state.current, (it) => ({ ...it, firstUnread: null }));
  return seen({ ...left, current: id });
}

function silent(it: Conversation): Conversation {
  return it.typists.length === 0 ? it : { ...it, typists: [] };
}

/** Mostly nothing has changed, and then nothing is drawn anew. */
function withPresence(it: Conversation, { members, count }: MembersPage): Conversation {
  return it.count === count && JSON.stringify(it.members) === JSON.stringify(members) ? it : { ...it, members, count };
}

function closed(state: State, id: ConversationId): State {
  const index = state.conversations.findIndex((it) => it.id === id);
  const conversations = state.conversations.filter((it) => it.id !== id);
  const neighbour = conversations[Math.min(index, conversations.length - 1)]?.id ?? EVERYONE;
  const next = { ...state, conversations };
  return state.current === id ? opened(next, neighbour) : next;
}

function joined(state: State, { joined: { room, members, count, history }, open }: Action & { type: "joined" }): State {
  const id = roomId(room);
  const me = state.me?.clientId ?? "";
  const past = history.filter(isMessage).map((publication) => received(publication, me, publication.event === "broadcast"));
  const next = change(ensured(state, id), id, (it) => ({
    ...it,
    members,
    count,
    typists: [],
    entries: past.reduce<readonly Entry[]>(withEntry, it.entries),
  }));
  return open ? opened(next, id) : next;
}

function arrived(state: State, id: ConversationId, message: Message): State {
  const viewed = state.current === id && state.visible;
  return change(state, id, (it) => {
    const entries = withEntry(it.entries, message);
    const typists = it.typists.filter(({ clientId }) => clientId !== message.sender);
    if (entries === it.entries) return { ...it, typists };
    if (viewed || message.mine) return { ...it, entries, typists, firstUnread: message.mine ? null : it.firstUnread };
    return { ...it, entries, typists, unread: it.unread + 1, firstUnread: it.firstUnread ?? message.key };
  });
}

/** What is on screen has been read. */
function seen(state: State): State {
  return state.visible ? change(state, state.current, (it) => ({ ...it, unread: 0 })) : state;
}
