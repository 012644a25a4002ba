import { expect, test } from "vitest";
import type { Publication, Recorded, RecordedMessage, RoomEntered } from "../src/rtclient";
import type { Action } from "../src/state/action";
import { EVERYONE, directId, roomId, type Message } from "../src/state/conversation";
import { received } from "../src/state/message";
import { reduce } from "../src/state/reduce";
import { currentConversation, totalUnread, typingLine } from "../src/state/select";
import { initialState, type State } from "../src/state/state";

const publication = (id: string, more: Partial<Publication> = {}): Publication => ({
  id, room: "lobby", sender: "ben", username: "Ben", message: "hello", timestamp: "2025-01-01T00:00:00.000Z", offset: 1, ...more,
});
const recorded = (id: string, more: Partial<RecordedMessage> = {}): RecordedMessage => ({ ...publication(id), event: "chat", ...more });
const said = (id: string): Message => received(publication(id), "ada");
const joined = (room: string, more: Partial<RoomEntered> = {}): Action => ({
  type: "joined", open: true, joined: { room, members: [], count: 1, offset: 0, history: [], recovered: false, ...more },
});
const after = (...actions: Action[]): State =>
  actions.reduce(reduce, { ...initialState, me: { clientId: "ada", name: "Ada", verified: false } });
const of = (state: State, id: string) => state.conversations.find((it) => it.id === id);

test("a joined room is opened and shows what was said before", () => {
  const state = after(joined("lobby", { history: [recorded("1"), recorded("2", { sender: "ada", event: "broadcast" })] }));
  expect(currentConversation(state).entries).toMatchObject([
    { id: "1", mine: false, broadcast: false },
    { id: "2", mine: true, broadcast: true },
  ]);
});

test("what a backend put into the history in a shape of its own is left out", () => {
  const history: Recorded[] = [recorded("1"), { event: "progress", id: "2", room: "lobby", data: 5, timestamp: "", offset: 2 }];
  expect(currentConversation(after(joined("lobby", { history }))).entries).toHaveLength(1);
});

test("what code in the server said belongs to the history", () => {
  const state = after(joined("lobby", { history: [recorded("1", { sender: null, username: "SYSTEM" })] }));
  expect(currentConversation(state).entries).toMatchObject([{ sender: null, name: "SYSTEM", mine: false }]);
});

test("a refused message goes back to where one writes", () => {
  const id = roomId("lobby");
  const state = after(joined("lobby"), { type: "said", id, message: said("1") }, { type: "taken_back", id, key: "1" });
  expect(state.takenBack).toEqual({ id, text: "hello" });
  expect(currentConversation(state).entries).toEqual([]);
});

test("messages elsewhere are unread until their room is opened", () => {
  const elsewhere = after(joined("lobby"), joined("other"), { type: "said", id: roomId("lobby"), message: said("1") });
  expect(totalUnread(elsewhere)).toBe(1);
  const opened = reduce(elsewhere, { type: "opened", id: roomId("lobby") });
  expect(totalUnread(opened)).toBe(0);
  expect(currentConversation(opened).firstUnread).toBe("1");
});

test("messages in a hidden tab are unread until somebody looks", () => {
  const hidden = after(joined("lobby"), { type: "visible", visible: false }, { type: "said", id: roomId("lobby"), message: said("1") });
  expect(totalUnread(hidden)).toBe(1);
  expect(totalUnread(reduce(hidden, { type: "visible", visible: true }))).toBe(0);
});

test("a private message opens a conversation in the list, not on the screen", () => {
  const state = after(joined("lobby"), { type: "said", id: directId("ben"), title: "Ben", message: said("1") });
  expect(state.current).toBe(roomId("lobby"));
  expect(of(state, "direct:ben")).toMatchObject({ title: "Ben", unread: 1 });
});

test("leaving the room on screen shows its neighbour", () => {
  const state = after(joined("lobby"), { type: "closed", id: roomId("lobby") });
  expect(state.current).toBe(EVERYONE);
});

test("joining again after a reconnect keeps what is on screen", () => {
  const state = after(joined("lobby"), { type: "said", id: roomId("lobby"), message: said("1") }, joined("lobby", { history: [recorded("1"), recorded("2")] }));
  expect(currentConversation(state).entries).toHaveLength(2);
});

test("somebody who speaks, leaves or falls silent is not typing any more", () => {
  const typing: Action = { type: "typing", room: "lobby", clientId: "ben", name: "Ben", until: 10, isTyping: true };
  const line = (state: State) => typingLine(currentConversation(state).typists);
  const state = after(joined("lobby"), typing);
  expect(line(state)).toBe("Ben is typing…");
  expect(line(reduce(state, { type: "said", id: roomId("lobby"), message: said("1") }))).toBe("");
  expect(line(reduce(state, { type: "member_left", room: "lobby", clientId: "ben", count: 1 }))).toBe("");
  expect(line(reduce(state, { type: "typing_expired", now: 10 }))).toBe("");
  expect(line(reduce(state, { type: "typing_expired", now: 9 }))).toBe("Ben is typing…");
  expect(line(reduce(state, { type: "status", status: { ...state.status, phase: "reconnecting" } }))).toBe("");
});

test("the same warning is not shown twice at a time", () => {
  const toast = (key: string): Action => ({ type: "toast", toast: { key, tone: "error", title: "Not sent", text: "Too fast." } });
  expect(after(toast("1"), toast("2")).toasts).toHaveLength(1);
});

test("signing out leaves nothing of the conversations behind", () => {
  const state = after(joined("lobby"), { type: "known_rooms", rooms: ["lobby"] }, { type: "signed_out" });
  expect(state).toMatchObject({ me: null, current: EVERYONE, knownRooms: ["lobby"] });
  expect(state.conversations).toHaveLength(1);
});
