/** The bar over the messages: where one is, and what one can do there. */
import type { Session } from "../session";
import { currentConversation, totalUnread } from "../state/select";
import type { Store } from "../state/store";
import { connectionPill } from "./connection";
import { h, setText } from "./dom";
import { plural } from "./format";
import { icon } from "./icons";
import { inboxView } from "./inbox";
import { copyLink } from "./invite";

export interface Drawers {
  openMenu: () => void;
  openMembers: () => void;
}

export function headerView(store: Store, session: Session, drawers: Drawers): HTMLElement {
  const unread = h("span", { class: "menu-badge", hidden: true });
  const title = h("h1");
  const subtitle = h("p", { class: "header-subtitle" });
  const count = h("span");
  const link = button("link", "Copy a link to this room", () => void copyLink(currentConversation(store.state).target, session));
  const members = h(
    "button",
    { class: "icon-button with-count members-toggle", type: "button", onclick: drawers.openMembers },
    icon("people"),
    count,
  );
  const leave = button("leave", "Leave this room", () => void session.close(currentConversation(store.state)));

  store.show((state) => {
    const current = currentConversation(state);
    const isRoom = current.kind === "room";
    setText(title, current.title);
    title.title = current.title;
    title.dataset["kind"] = current.kind;
    setText(subtitle, describe(current.kind, current.count, current.target, current.title));
    setText(count, isRoom ? String(current.count) : "");
    members.setAttribute("aria-label", `Members: ${current.count}`);
    members.hidden = link.hidden = leave.hidden = !isRoom;
    const elsewhere = totalUnread(state) - current.unread;
    unread.hidden = elsewhere === 0;
    setText(unread, elsewhere > 99 ? "99+" : String(elsewhere));
    document.title = `${totalUnread(state) > 0 ? `(${totalUnread(state)}) ` : ""}${state.me ? `${current.title} · ` : ""}rtserver`;
  });

  return h(
    "header",
    { class: "header" },
    h(
      "button",
      { class: "icon-button menu-toggle", type: "button", "aria-label": "Open the menu", "aria-controls": "sidebar", onclick: drawers.openMenu },
      icon("menu"),
      unread,
    ),
    h("div", { class: "header-title" }, title, subtitle),
    h("div", { class: "header-actions" }, connectionPill(store), inboxView(store, session), link, leave, members),
  );
}

function describe(kind: string, count: number, target: string, title: string): string {
  if (kind === "room") return plural(count, "member");
  if (kind === "everyone") return "Every client of this server";
  return target === title ? "Private conversation" : `Private conversation with ${target}`;
}

function button(name: "link" | "leave", label: string, onclick: () => void): HTMLElement {
  return h("button", { class: "icon-button", type: "button", "aria-label": label, title: label, onclick }, icon(name));
}
