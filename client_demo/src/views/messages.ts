/** The list of what was said in the current conversation. */
import type { Session } from "../session";
import { EVERYONE, type Conversation, type Message } from "../state/conversation";
import { rows, type Row } from "../state/rows";
import { currentConversation } from "../state/select";
import type { Store } from "../state/store";
import { avatar, hue } from "./avatar";
import { h, KeyedList, setText } from "./dom";
import { emptyConversation } from "./empty";
import { dayName, fullTime, plural, textParts, time } from "./format";
import { icon } from "./icons";
import { isAlone } from "./invite";

/** How close to the end counts as reading along. */
const NEAR_END = 80;

/** What is longer than this shows its beginning only, until somebody asks for the rest. */
const LONG = { characters: 1_500, lines: 20 };
const READ_ALOUD = 300;

export function messagesView(store: Store, session: Session): HTMLElement {
  const list = h("ol", { class: "messages-list" });
  const empty = h("div", { class: "messages-empty" });
  const scroller = h(
    "div",
    { class: "messages", role: "log", "aria-label": "Messages", "aria-live": "off", tabindex: 0 },
    empty,
    list,
  );
  const toEnd = h(
    "button",
    { class: "to-end", type: "button", hidden: true, onclick: () => scroller.scrollTo({ top: scroller.scrollHeight, behavior: "smooth" }) },
    icon("down", 16),
    h("span", {}, "Newest messages"),
  );
  // Announced from a region of its own: opening another conversation replaces the list, and nobody wants to hear all of it.
  const announcer = h("div", { class: "visually-hidden", "aria-live": "polite" });

  const keyed = new KeyedList<Row>(list, (row) => row.key, fingerprint, (row) => rowElement(row, store, session));
  let shown: Conversation | null = null;
  let shownEmpty = "";
  let atEnd = true;

  const follow = (): void => {
    scroller.scrollTop = scroller.scrollHeight;
  };
  scroller.addEventListener("scroll", () => {
    atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
    toEnd.hidden = atEnd;
  }, { passive: true });
  // A growing composer or an on-screen keyboard must not hide the newest message.
  new ResizeObserver(() => {
    if (atEnd) follow();
  }).observe(scroller);

  store.show((state) => {
    const current = currentConversation(state);
    if (current === shown && !state.me) return;
    const switched = current.id !== shown?.id;
    const newest = current.entries.at(-1);
    const grown = newest !== shown?.entries.at(-1);
    const before = shown?.entries;
    const trouble = current.entries.findLast((entry) => entry.kind === "message" && isTrouble(entry) && !before?.includes(entry));
    if (!switched && trouble) setText(announcer, announcement(trouble));
    else if (!switched && grown && newest) setText(announcer, announcement(newest));
    keyed.update(rows(current));
    const said = current.entries.some(({ kind }) => kind === "message");
    const nowEmpty = said ? "" : JSON.stringify([current.id, current.title, isAlone(current), state.me?.name]);
    if (nowEmpty !== shownEmpty) empty.replaceChildren(...(said ? [] : [emptyConversation(current, state, session)]));
    shownEmpty = nowEmpty;
    const wroteMyself = grown && newest?.kind === "message" && newest.mine;
    if (switched || atEnd || wroteMyself) follow();
    shown = current;
  });

  return h("div", { class: "messages-area" }, scroller, toEnd, announcer);
}

function fingerprint(row: Row): readonly unknown[] {
  if (row.kind === "message") return [row.entry, row.first, row.last];
  return row.kind === "day" ? [dayName(row.at)] : [];
}

function announcement(entry: Conversation["entries"][number]): string {
  if (entry.kind === "notice") return entry.text;
  if (isTrouble(entry)) return problemText(entry);
  return entry.mine ? "" : `${entry.name}: ${entry.text.slice(0, READ_ALOUD)}`;
}

function isTrouble({ delivery }: Message): boolean {
  return delivery === "failed" || delivery === "refused";
}

function rowElement(row: Row, store: Store, session: Session): HTMLElement {
  switch (row.kind) {
    case "day":
      return h("li", { class: "row-day" }, h("span", {}, dayName(row.at)));
    case "new":
      return h("li", { class: "row-new" }, h("span", {}, "New"));
    case "notice":
      return h("li", { class: "row-notice" }, h("span", {}, row.entry.text), " ", moment(row.entry.at));
    case "message":
      return messageRow(row, store, session);
  }
}

function messageRow({ entry, first, last }: Row & { kind: "message" }, store: Store, session: Session): HTMLElement {
  const { mine, delivery, broadcast } = entry;
  const sender = entry.sender ?? entry.name;
  const classes = ["row-message", mine ? "mine" : "theirs", first && "first", last && "last", `is-${delivery}`];
  const head =
    first && !mine
      ? h("div", { class: `message-name hue-${hue(sender)}` }, entry.name, broadcast && store.state.current !== EVERYONE && h("span", { class: "tag" }, "broadcast"))
      : h("span", { class: "visually-hidden" }, mine ? "You: " : `${entry.name}: `);
  const bubble = h("div", { class: "bubble" }, head, ...body(entry), footer(entry, last));
  const face = first && !mine ? avatar(sender, entry.name) : h("span", { class: "avatar-space" });
  const item = h("li", { class: classes.filter(Boolean).join(" ") }, mine ? null : face, h("div", { class: "message-body" }, bubble));
  if (delivery === "waiting" || isTrouble(entry)) item.lastElementChild?.append(problem(entry, store, session));
  return item;
}

function body({ text, delivery }: Message): HTMLElement[] {
  const words = h("p", { class: "message-text" }, ...linked(text));
  const lines = text.split("\n").length;
  if (text.length <= LONG.characters && lines <= LONG.lines) return [words];
  words.classList.add("folded");
  words.classList.toggle("short", delivery === "refused");
  const all = `Show all (${lines > LONG.lines ? plural(lines, "line") : `${text.length.toLocaleString()} characters`})`;
  const more = h("button", { class: "link-button message-more", type: "button", "aria-expanded": "false" }, all);
  more.addEventListener("click", () => {
    const folded = words.classList.toggle("folded");
    more.setAttribute("aria-expanded", String(!folded));
    setText(more, folded ? all : "Show less");
    // Where the button went, the eye goes too.
    if (folded) more.scrollIntoView({ block: "nearest" });
  });
  return [words, more];
}

function linked(text: string): Node[] {
  return textParts(text).map(({ text: part, href }) =>
    href === null
      ? document.createTextNode(part)
      : h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, part),
  );
}

/** The last of a run shows when it was said; for the others it is there to be read aloud. */
function footer({ at, delivery, note }: Message, last: boolean): HTMLElement {
  const told = delivery === "sent" ? note : delivery === "sending" ? "sending…" : "";
  const quiet = !last && told === "" && delivery === "sent";
  return h("div", { class: quiet ? "visually-hidden" : "message-meta" }, told && h("span", {}, told), moment(at));
}

function moment(at: number): HTMLElement {
  return h("time", { datetime: new Date(at).toISOString(), title: fullTime(at) }, time(at));
}

/** Under a message that did not get through: why, and what one can do. */
function problemText({ note }: Message): string {
  return `Not sent (${note})`;
}

function problem(message: Message, store: Store, session: Session): HTMLElement {
  const { key, delivery } = message;
  const id = store.state.current;
  if (delivery === "waiting") {
    return h("div", { class: "message-problem waiting" }, "Not sent yet. Goes out when the connection is back.");
  }
  return h(
    "div",
    { class: "message-problem" },
    h("span", { class: "message-why" }, icon("warning", 14), h("span", {}, problemText(message))),
    h(
      "span",
      { class: "message-remedies" },
      // What was refused for what it is will be refused again.
      delivery === "refused"
        ? h("button", { class: "link-button", type: "button", onclick: () => session.edit(id, key) }, "Edit")
        : h("button", { class: "link-button", type: "button", onclick: () => session.retry(id, key) }, "Retry"),
      h("button", { class: "link-button", type: "button", onclick: () => session.discard(id, key) }, "Discard"),
    ),
  );
}
