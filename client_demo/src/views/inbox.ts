/** The bell with the number of unread notifications, and the inbox under it. */
import type { UserNotification } from "../rtclient";
import type { Session } from "../session";
import { moment } from "../state/message";
import type { Store } from "../state/store";
import { h, KeyedList, setText } from "./dom";
import { dayName, fullTime, time } from "./format";
import { icon } from "./icons";
import { TONE_ICONS } from "./toasts";

export function inboxView(store: Store, session: Session): HTMLElement {
  const badge = h("span", { class: "inbox-badge", hidden: true });
  const bell = h(
    "button",
    { class: "icon-button inbox-bell", type: "button", "aria-expanded": "false", "aria-controls": "inbox" },
    icon("bell"),
    badge,
  );
  const list = h("ul", { class: "inbox-list" });
  const nothing = h("p", { class: "inbox-empty" }, "Nothing yet. What backends tell you will be here, read or not.");
  const all = h("button", { class: "link-button", type: "button", onclick: () => void session.read() }, "Mark all as read");
  const panel = h(
    "section",
    { class: "inbox-panel", id: "inbox", "aria-label": "Notifications", hidden: true },
    h("div", { class: "inbox-top" }, h("h2", {}, "Notifications"), all),
    list,
    nothing,
  );
  const root = h("div", { class: "inbox", hidden: true }, bell, panel);

  const show = (open: boolean): void => {
    panel.hidden = !open;
    bell.setAttribute("aria-expanded", String(open));
  };
  bell.addEventListener("click", () => show(panel.hidden !== false));
  document.addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !root.contains(target)) show(false);
  });
  // On the document: the focus is nowhere once "Mark all as read" has done its work and is gone.
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || panel.hidden) return;
    show(false);
    bell.focus();
  });

  const keyed = new KeyedList<UserNotification>(
    list,
    ({ id }) => id,
    ({ read_at }) => [read_at],
    (notification) => item(notification, () => void session.read(notification.id)),
  );
  store.show(({ inbox }) => {
    root.hidden = inbox === null;
    const { items, unread } = inbox ?? { items: [], unread: 0 };
    badge.hidden = unread === 0;
    setText(badge, unread > 99 ? "99+" : String(unread));
    bell.setAttribute("aria-label", `Notifications: ${unread} unread`);
    all.hidden = unread === 0;
    nothing.hidden = items.length > 0;
    keyed.update(items);
  });
  return root;
}

function item({ type, title, message, timestamp, read_at }: UserNotification, read: () => void): HTMLElement {
  const at = moment(timestamp);
  const unread = read_at === undefined;
  const when = h("time", { datetime: timestamp, title: fullTime(at) }, `${dayName(at)}, ${time(at)}`);
  return h(
    "li",
    { class: `inbox-item tone-${type}${unread ? " is-unread" : ""}` },
    icon(TONE_ICONS[type], 18),
    h("div", { class: "inbox-text" }, h("strong", {}, title), h("span", {}, message), when),
    unread &&
      h("button", { class: "icon-button", type: "button", "aria-label": `Mark as read: ${title}`, title: "Mark as read", onclick: read }, icon("check", 16)),
  );
}
