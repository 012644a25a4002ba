/** A conversation's entries as the rows of its list: days apart, one person's run of messages together. */
import type { Conversation, Entry, Message, Notice } from "./conversation";

export type Row =
  | { kind: "day"; key: string; at: number }
  | { kind: "new"; key: string }
  | { kind: "notice"; key: string; entry: Notice }
  | { kind: "message"; key: string; entry: Message; first: boolean; last: boolean };

const RUN = 5 * 60_000;

export function rows({ entries, firstUnread }: Pick<Conversation, "entries" | "firstUnread">): Row[] {
  const result: Row[] = [];
  entries.forEach((entry, i) => {
    const before = entries[i - 1];
    if (!before || !sameDay(before.at, entry.at)) result.push({ kind: "day", key: `day ${entry.key}`, at: entry.at });
    if (entry.key === firstUnread) result.push({ kind: "new", key: "new" });
    if (entry.kind === "notice") {
      result.push({ kind: "notice", key: entry.key, entry });
      return;
    }
    const after = entries[i + 1];
    const first = !follows(before, entry) || entry.key === firstUnread;
    const last = !after || !follows(entry, after) || after.key === firstUnread;
    result.push({ kind: "message", key: entry.key, entry, first, last });
  });
  return result;
}

function follows(before: Entry | undefined, entry: Entry): boolean {
  return (
    before?.kind === "message" &&
    entry.kind === "message" &&
    before.sender === entry.sender &&
    before.broadcast === entry.broadcast &&
    sameDay(before.at, entry.at) &&
    entry.at - before.at < RUN
  );
}

function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}
