/** Where one can go: everyone, the rooms one is in, direct conversations; and who one is. */
import type { Memory } from "../memory";
import { sentence, type Session } from "../session";
import { roomId, type Conversation } from "../state/conversation";
import { isPresent } from "../state/select";
import type { Store } from "../state/store";
import { avatar } from "./avatar";
import { connectionCard } from "./connection";
import { h, KeyedList, setText } from "./dom";
import { plural } from "./format";
import { icon } from "./icons";
import { themeButton } from "./theme";

const SUGGESTED = 5;

interface Item {
  it: Conversation;
  current: boolean;
  present: boolean;
}

export function sidebarView(store: Store, session: Session, memory: Memory, done: () => void): HTMLElement {
  const everyone = h("ul", { class: "conversations" });
  const rooms = h("ul", { class: "conversations" });
  const direct = h("ul", { class: "conversations" });
  const suggestions = h("ul", { class: "suggestions", "aria-label": "Rooms you were in before" });
  const directPart = h("section", {}, h("h2", {}, "Direct messages"), direct);

  const open = (it: Conversation): void => {
    session.open(it.id);
    done();
  };
  const lists = [everyone, rooms, direct].map(
    (list) =>
      new KeyedList<Item>(
        list,
        ({ it }) => it.id,
        ({ it, current, present }) => [it.title, it.unread, it.count, current, present],
        (item) => conversationItem(item, open, session),
      ),
  );
  const known = new KeyedList<string>(
    suggestions,
    (room) => room,
    () => [],
    (room) => suggestion(room, session, done),
  );

  const self = h("div", { class: "self" });
  store.show((state) => {
    const kinds: Conversation["kind"][] = ["everyone", "room", "direct"];
    kinds.forEach((kind, i) =>
      lists[i]?.update(
        state.conversations
          .filter((it) => it.kind === kind)
          .map((it) => ({ it, current: it.id === state.current, present: kind === "direct" && isPresent(state, it.target) })),
      ),
    );
    directPart.hidden = direct.childElementCount === 0;
    const joined = new Set(state.conversations.map(({ id }) => id));
    known.update(state.knownRooms.filter((room) => !joined.has(roomId(room))).slice(0, SUGGESTED));
    suggestions.hidden = suggestions.childElementCount === 0;
  });

  let shownMe: unknown = null;
  store.show(({ me }) => {
    if (!me || me === shownMe) return;
    shownMe = me;
    self.replaceChildren(
      avatar(me.clientId, me.name),
      h("div", { class: "self-name" }, h("strong", {}, me.name), h("span", {}, me.clientId === me.name ? "you" : me.clientId)),
      h(
        "button",
        { class: "icon-button", type: "button", "aria-label": "Sign out", title: "Sign out", onclick: () => session.end() },
        icon("signout"),
      ),
    );
  });

  return h(
    "nav",
    { class: "sidebar", id: "sidebar", "aria-label": "Conversations" },
    h(
      "div",
      { class: "sidebar-top" },
      h("span", { class: "brand-mark" }, icon("logo")),
      h("span", { class: "brand-name" }, "rtserver"),
      themeButton(memory),
      h("button", { class: "icon-button drawer-close", type: "button", "aria-label": "Close the menu", onclick: done }, icon("close")),
    ),
    connectionCard(store),
    h(
      "div",
      { class: "sidebar-lists" },
      everyone,
      h("section", {}, h("h2", {}, "Rooms"), rooms, suggestions, joinForm(session, done)),
      directPart,
    ),
    self,
  );
}

function conversationItem({ it, current, present }: Item, open: (it: Conversation) => void, session: Session): HTMLElement {
  const picture = it.kind === "direct" ? withPresence(avatar(it.target, it.title, "small"), present) : icon(it.kind === "room" ? "hash" : "everyone", 18);
  const unread =
    it.unread > 0 &&
    h("span", { class: "badge" }, it.unread > 99 ? "99+" : String(it.unread), h("span", { class: "visually-hidden" }, " unread"));
  const button = h(
    "button",
    { class: "conversation", type: "button", "aria-current": current ? "true" : null, title: it.title, onclick: () => open(it) },
    h("span", { class: "conversation-picture" }, picture),
    h("span", { class: "conversation-name" }, it.title),
    unread || (it.kind === "room" && it.count > 0 && h("span", { class: "conversation-count", title: plural(it.count, "member") }, String(it.count))),
  );
  if (it.kind === "everyone") return h("li", {}, button);
  const label = it.kind === "room" ? `Leave ${it.title}` : `Close the conversation with ${it.title}`;
  const leave = h(
    "button",
    { class: "conversation-leave", type: "button", "aria-label": label, title: label, onclick: () => void session.close(it) },
    icon("close", 14),
  );
  return h("li", { class: it.unread > 0 ? "has-unread" : "" }, button, leave);
}

function withPresence(picture: HTMLElement, present: boolean): HTMLElement {
  return h("span", { class: "with-presence" }, picture, present && h("span", { class: "presence-dot" }));
}

function suggestion(room: string, session: Session, done: () => void): HTMLElement {
  return h(
    "li",
    {},
    h(
      "button",
      { class: "suggestion", type: "button", "aria-label": `Join ${room} again`, onclick: () => void session.join(room).then(done) },
      icon("plus", 12),
      h("span", {}, room),
    ),
    h(
      "button",
      { class: "suggestion-forget", type: "button", "aria-label": `Forget ${room}`, title: "Forget", onclick: () => session.forget(room) },
      icon("close", 12),
    ),
  );
}

function joinForm(session: Session, done: () => void): HTMLElement {
  const input = h("input", {
    type: "text", name: "join", maxlength: 128, placeholder: "Join a room…", "aria-label": "Join a room by name", "aria-describedby": "join-problem",
    autocomplete: "off", autocapitalize: "none", spellcheck: "false",
  });
  const problem = h("p", { class: "join-problem", id: "join-problem", role: "alert" });
  const say = (text: string): void => {
    setText(problem, text);
    input.setAttribute("aria-invalid", String(text !== ""));
  };
  const onsubmit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const room = input.value.trim();
    if (!room) return;
    const error = await session.enter(room);
    if (error) {
      say(`${sentence(error)} (${error.reason})`);
      input.select();
      return;
    }
    say("");
    input.value = "";
    done();
  };
  input.addEventListener("input", () => say(""));
  return h(
    "form",
    { class: "join-form", onsubmit: onsubmit as (event: never) => void },
    input,
    h("button", { class: "icon-button", type: "submit", "aria-label": "Join", title: "Join" }, icon("plus", 18)),
    problem,
  );
}
