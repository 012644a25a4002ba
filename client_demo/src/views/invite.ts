/** How to get company in a room: a second tab, or a link for somebody else. */
import type { Session } from "../session";
import type { Conversation } from "../state/conversation";
import { currentConversation } from "../state/select";
import type { State } from "../state/state";
import type { Store } from "../state/store";
import { h, setText } from "./dom";
import { icon } from "./icons";

export const ALONE = "You are the only one here.";

/** Whether nobody else is in the room; one that does not tell who is there lists not even oneself. */
export function isAlone({ kind, count, members }: Conversation): boolean {
  return kind === "room" && count <= 1 && members.length > 0;
}

export async function copyLink(room: string, session: Session): Promise<void> {
  const url = `${location.origin}${location.pathname}?${new URLSearchParams({ room }).toString()}`;
  try {
    await navigator.clipboard.writeText(url);
    session.toast("success", "Link copied", url);
  } catch {
    // Browsers lend the clipboard to secure origins only.
    session.toast("info", "Link to this room", url);
  }
}

/** The page in another tab, as somebody else in the same room. */
export function secondTab(room: string, { me }: State): string {
  const name = me?.name === "Ben" ? "Ada" : "Ben";
  return `?${new URLSearchParams({ name, room }).toString()}`;
}

/** The line over the composer, for a room that has messages but nobody else. */
export function aloneHint(store: Store, session: Session): HTMLElement {
  const text = h("span", {});
  const tab = h("a", { target: "_blank", rel: "noopener" }, "Open a second tab");
  const copy = h(
    "button",
    { class: "button secondary small", type: "button", onclick: () => void copyLink(currentConversation(store.state).target, session) },
    icon("link", 16),
    "Copy link",
  );
  const hint = h("div", { class: "alone", hidden: true }, h("p", {}, text, " ", tab), copy);
  store.show((state) => {
    const current = currentConversation(state);
    hint.hidden = !isAlone(current) || state.status.phase !== "connected" || !current.entries.some(({ kind }) => kind === "message");
    setText(text, ALONE);
    const href = secondTab(current.target, state);
    if (tab.getAttribute("href") !== href) tab.setAttribute("href", href);
  });
  return hint;
}
