import { expect, test } from "vitest";
import type { UserNotification } from "../src/rtclient";
import type { Action } from "../src/state/action";
import { reduce } from "../src/state/reduce";
import { initialState, type State } from "../src/state/state";

const one = (id: string, more: Partial<UserNotification> = {}): UserNotification => ({
  id, user: "ada", type: "info", level: "info", title: `title ${id}`, message: "", timestamp: "2025-01-01T00:00:00.000Z", ...more,
});
const page = (unread: number, ...notifications: UserNotification[]): Action => ({ type: "inbox", page: { notifications, unread } });
const arrived = (id: string): Action => ({ type: "notified", notification: one(id) });
const after = (...actions: Action[]): State => actions.reduce(reduce, initialState);
const AT = "2025-01-02T00:00:00.000Z";

test("a new notification stands first and counts as unread", () => {
  const { inbox } = after(page(1, one("1")), arrived("2"));
  expect(inbox?.items.map(({ id }) => id)).toEqual(["2", "1"]);
  expect(inbox?.unread).toBe(2);
});

test("what is told twice is there once", () => {
  const { inbox } = after(page(1, one("1")), arrived("1"));
  expect(inbox).toMatchObject({ items: [{ id: "1" }], unread: 1 });
});

test("what another tab read is read here, also what this page does not have", () => {
  const { inbox } = after(page(5, one("2"), one("1")), { type: "notifications_read", ids: ["1", "older"], at: AT });
  expect(inbox?.items.map(({ read_at }) => read_at)).toEqual([undefined, AT]);
  expect(inbox?.unread).toBe(3);
});

test("what is read already does not count again", () => {
  const { inbox } = after(page(0, one("1", { read_at: AT })), { type: "notifications_read", ids: ["1"], at: AT });
  expect(inbox?.unread).toBe(0);
});

test("all can be read at once", () => {
  const { inbox } = after(page(7, one("2"), one("1", { read_at: "earlier" })), { type: "all_read", at: AT });
  expect(inbox?.items.map(({ read_at }) => read_at)).toEqual([AT, "earlier"]);
  expect(inbox?.unread).toBe(0);
});

test("a guest has no inbox, and who signs out leaves none behind", () => {
  expect(after(page(1, one("1")), { type: "inbox", page: null }).inbox).toBeNull();
  expect(after(arrived("1")).inbox).toBeNull();
  expect(after(page(1, one("1")), { type: "signed_out" }).inbox).toBeNull();
});
