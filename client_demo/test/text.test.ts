import { expect, test } from "vitest";
import { rows } from "../src/state/rows";
import { received } from "../src/state/message";
import { hue } from "../src/views/avatar";
import { textParts } from "../src/views/format";

const links = (text: string): string[] => textParts(text).flatMap(({ href }) => href ?? []);

test("web addresses become links, without the punctuation around them", () => {
  expect(links("See https://example.com/a?b=1, or (http://example.org).")).toEqual(["https://example.com/a?b=1", "http://example.org"]);
});

test("no other scheme ever becomes a link", () => {
  expect(links("javascript:alert(1) data:text/html,x <a href='x'>")).toEqual([]);
});

test("nothing of a text gets lost when it is split", () => {
  const text = "a https://example.com b\nhttps://example.org/<script>";
  expect(textParts(text).map((part) => part.text).join("")).toBe(text);
});

test("a run of one person's messages stands together, a day and the first unread line apart", () => {
  const at = (id: string, sender: string, timestamp: string) =>
    received({ id, room: "lobby", sender, username: sender, message: "x", timestamp, offset: 1 }, "me");
  const entries = [
    at("1", "ben", "2025-01-01T12:00:00Z"),
    at("2", "ben", "2025-01-01T12:01:00Z"),
    at("3", "ada", "2025-01-01T12:02:00Z"),
    at("4", "ada", "2025-01-03T12:02:00Z"),
    at("5", "ada", "2025-01-03T12:03:00Z"),
  ];
  const shown = rows({ entries, firstUnread: "5" }).map((row) =>
    row.kind === "message" ? `${row.entry.id}${row.first ? " first" : ""}${row.last ? " last" : ""}` : row.kind,
  );
  expect(shown).toEqual(["day", "1 first", "2 last", "3 first last", "day", "4 first last", "new", "5 first last"]);
});

test("people have colours of their own, also when their names are alike", () => {
  expect(hue("Bob")).not.toBe(hue("Robot"));
  const colours = Array.from({ length: 800 }, (_, i) => hue(`user-${i}`));
  for (let colour = 0; colour < 8; colour += 1) expect(colours.filter((it) => it === colour).length).toBeGreaterThan(60);
});
