/** Where one writes. Every conversation keeps its own draft. */
import type { Session } from "../session";
import type { Conversation, ConversationId } from "../state/conversation";
import { currentConversation, typingLine } from "../state/select";
import type { State } from "../state/state";
import type { Store } from "../state/store";
import { h, keyboardAtHand, setText } from "./dom";
import { icon } from "./icons";

export function composerView(store: Store, session: Session): HTMLElement {
  const drafts = new Map<ConversationId, string>();
  let shown: ConversationId | null = null;
  let takenBack: State["takenBack"] = null;

  const input = h("textarea", { rows: 1, name: "message", enterkeyhint: "send", autocomplete: "off", "aria-describedby": "composer-hint" });
  const send = h("button", { class: "send", type: "submit", "aria-label": "Send", title: "Send" }, icon("send"));
  const typing = h("div", { class: "typing", role: "status" });
  const typingText = h("span");
  typing.append(h("span", { class: "typing-dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), typingText);

  const fit = (): void => {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
    send.disabled = input.value.trim() === "";
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = input.value.trim();
    if (text === "") return;
    session.say(text);
    input.value = "";
    fit();
    input.focus();
  };
  input.addEventListener("input", () => {
    fit();
    session.typed(input.value === "");
  });
  input.addEventListener("keydown", (event) => {
    // While an input method is composing, Enter chooses a word.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  });

  store.show((state) => {
    // The next person at this page shall not find what the last one left unsent.
    if (!state.me) {
      drafts.clear();
      input.value = "";
    }
    const current = currentConversation(state);
    if (current.id !== shown) {
      if (shown !== null) drafts.set(shown, input.value);
      shown = current.id;
      input.value = drafts.get(shown) ?? "";
      const label = prompt(current);
      input.placeholder = label;
      input.setAttribute("aria-label", label);
      fit();
      if (keyboardAtHand()) input.focus();
    }
    if (state.takenBack !== takenBack) {
      takenBack = state.takenBack;
      if (takenBack?.id === shown) {
        // In front of what has been written since.
        input.value = [takenBack.text, input.value].filter(Boolean).join("\n");
        fit();
        input.focus();
      }
    }
    const line = typingLine(current.typists);
    typing.classList.toggle("active", line !== "");
    setText(typingText, line);
  });

  return h(
    "form",
    { class: "composer", onsubmit: submit },
    typing,
    h("div", { class: "composer-box" }, input, send),
    h("p", { class: "composer-hint", id: "composer-hint" }, h("kbd", {}, "Enter"), " sends, ", h("kbd", {}, "Shift"), " + ", h("kbd", {}, "Enter"), " starts a new line"),
  );
}

function prompt({ kind, title }: Conversation): string {
  if (kind === "everyone") return "Broadcast to everyone";
  return `Message ${title}`;
}
