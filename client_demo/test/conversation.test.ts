import { expect, test } from "vitest";
import { find, withDelivery, withEntry, withSent, type Entry, type Message } from "../src/state/conversation";

const message = (id: string | null, more: Partial<Message> = {}): Message => ({
  kind: "message", key: id ?? "mine 1", id, sender: "ben", name: "Ben", text: "hello", at: 0,
  mine: id === null, broadcast: false, delivery: id === null ? "sending" : "sent", note: "", ...more,
});
const ids = (entries: readonly Entry[]): (string | null)[] => entries.map((entry) => (entry.kind === "message" ? entry.id : "notice"));

test("a publication that arrives twice is shown once", () => {
  const once = withEntry([], message("1"));
  expect(withEntry(once, message("1"))).toBe(once);
});

test("publications stand in the server's order, whatever order they arrive in", () => {
  const entries = ["3", "1", "2"].reduce<readonly Entry[]>((list, id) => withEntry(list, message(id)), []);
  expect(ids(entries)).toEqual(["1", "2", "3"]);
});

test("a message of one's own moves to its place when its acknowledgement was overtaken", () => {
  const pending = withEntry([message("1")], message(null));
  const overtaken = withEntry(pending, message("3"));
  const sent = withSent(overtaken, "mine 1", { id: "2", at: 5, note: "" });
  expect(ids(sent)).toEqual(["1", "2", "3"]);
  expect(find(sent, "mine 1")?.delivery).toBe("sent");
});

test("an echo that comes before the acknowledgement does not leave the message twice", () => {
  const echoed = withEntry(withEntry([], message(null)), message("2", { mine: true }));
  expect(ids(withSent(echoed, "mine 1", { id: "2", at: 5, note: "" }))).toEqual(["2"]);
});

test("a refused message keeps its text and says why", () => {
  const failed = withDelivery([message(null)], "mine 1", "failed", "Too many messages.");
  expect(find(failed, "mine 1")).toMatchObject({ delivery: "failed", note: "Too many messages.", text: "hello" });
});

test("a long conversation forgets its beginning", () => {
  const many = Array.from({ length: 600 }, (_, i) => message(String(i).padStart(4, "0")));
  const kept = many.reduce<readonly Entry[]>(withEntry, []);
  expect(kept).toHaveLength(500);
  expect(ids(kept).at(-1)).toBe("0599");
});
