/** What a conversation shows while nobody has said anything. */
import type { Conversation } from "../state/conversation";
import type { State } from "../state/state";
import { avatar } from "./avatar";
import { h } from "./dom";
import { icon } from "./icons";

export function emptyConversation(conversation: Conversation, state: State): HTMLElement {
  const { kind, target, title, count } = conversation;
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
  const alone = count <= 1;
  return panel(
    icon("hash", 28),
    `Welcome to ${target}`,
    alone ? "You are the only one here. Open a second tab as somebody else, or send the link to a friend." : "Say hello.",
    alone && h("a", { class: "button secondary", href: secondTab(target, state), target: "_blank", rel: "noopener" }, "Open a second tab"),
  );
}

function panel(picture: Node, title: string, text: string, action: HTMLElement | false = false): HTMLElement {
  return h(
    "div",
    { class: "empty-panel" },
    h("div", { class: "empty-picture" }, picture),
    h("h2", {}, title),
    h("p", {}, text),
    action,
  );
}

function secondTab(room: string, state: State): string {
  const name = state.me?.name === "Ben" ? "Ada" : "Ben";
  return `?${new URLSearchParams({ name, room }).toString()}`;
}
