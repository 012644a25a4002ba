/** The second screen: sidebar, conversation, members. On a small screen the outer two are drawers. */
import type { Memory } from "../memory";
import type { Session } from "../session";
import type { Store } from "../state/store";
import { composerView } from "./composer";
import { connectionBanner } from "./connection";
import { h } from "./dom";
import { headerView } from "./header";
import { aloneHint } from "./invite";
import { membersView } from "./members";
import { messagesView } from "./messages";
import { sidebarView } from "./sidebar";

type Drawer = "menu" | "members";

export function chatView(store: Store, session: Session, memory: Memory): HTMLElement {
  const root = h("div", { class: "chat" });
  let opener: Element | null = null;

  const open = (drawer: Drawer): void => {
    opener = document.activeElement;
    root.dataset["drawer"] = drawer;
    // The keyboard stays inside the drawer as long as it covers the rest.
    conversation.inert = true;
    const panel = drawer === "menu" ? sidebar : members;
    panel.querySelector<HTMLElement>(".drawer-close")?.focus();
  };
  const close = (): void => {
    if (root.dataset["drawer"] === undefined) return;
    delete root.dataset["drawer"];
    conversation.inert = false;
    if (opener instanceof HTMLElement) opener.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  // On a wide screen there are no drawers: one that is open while the window grows must not leave its mark.
  matchMedia("(min-width: 721px)").addEventListener("change", close);
  matchMedia("(min-width: 1041px)").addEventListener("change", close);

  const sidebar = sidebarView(store, session, memory, close);
  const members = membersView(store, session, close);
  const conversation = h(
    "main",
    { class: "conversation-area" },
    headerView(store, session, { openMenu: () => open("menu"), openMembers: () => open("members") }),
    connectionBanner(store, () => session.reconnect()),
    messagesView(store, session),
    aloneHint(store, session),
    composerView(store, session),
  );
  store.show(({ status }) => {
    root.dataset["phase"] = status.phase;
  });
  root.append(sidebar, conversation, members, h("div", { class: "scrim", onclick: close }));
  return root;
}
