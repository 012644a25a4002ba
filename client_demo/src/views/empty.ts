/** What a conversation shows while nobody has said anything. */
import type { Conversation } from "../state/conversation";
import type { Session } from "../session";
import type { State } from "../state/state";
import { avatar } from "./avatar";
import { h } from "./dom";
import { icon } from "./icons";
import { ALONE, copyLink, isAlone, secondTab } from "./invite";

export function emptyConversation(conversation: Conversation, state: State, session: Session): HTMLElement {
  const { kind, target, title } = conversation;
  if (kind === "everyone") {
    return panel(
      icon("everyone", 28),
      "A message to everyone",
      "What you write here reaches every client of this server, in whatever room it is.",
    );
  }
  if (kind === "direct") {
    return panel(avatar(target, title, "large"), title, `Only you and ${title} see this conversation. It is not kept.`);
  }
  if (!isAlone(conversation)) return panel(icon("hash", 28), `Welcome to ${target}`, "Say hello.");
  return panel(
    icon("hash", 28),
    `Welcome to ${target}`,
    `${ALONE} Open a second tab as somebody else, or send the link to a friend.`,
    h("a", { class: "button secondary", href: secondTab(target, state), target: "_blank", rel: "noopener" }, "Open a second tab"),
    h("button", { class: "button secondary", type: "button", onclick: () => void copyLink(target, session) }, icon("link", 18), "Copy link"),
  );
}

function panel(picture: Node, title: string, text: string, ...actions: HTMLElement[]): HTMLElement {
  return h(
    "div",
    { class: "empty-panel" },
    h("div", { class: "empty-picture" }, picture),
    h("h2", {}, title),
    h("p", {}, text),
    actions.length > 0 && h("div", { class: "empty-actions" }, ...actions),
  );
}
