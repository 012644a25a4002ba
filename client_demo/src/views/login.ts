/** The first screen: who are you, and where do you want to go? */
import type { Memory } from "../memory";
import type { Session } from "../session";
import type { Store } from "../state/store";
import { h, setText } from "./dom";
import { icon } from "./icons";
import { themeButton } from "./theme";

const NAME_HINT = "Others see it, and write to you by it.";

export interface Prefilled {
  name: string;
  room: string;
}

export function loginView(store: Store, session: Session, memory: Memory, prefilled: Prefilled): HTMLElement {
  const name = h("input", {
    id: "name", name: "name", type: "text", required: true, maxlength: 128, autocomplete: "nickname",
    autocapitalize: "words", spellcheck: "false", placeholder: "Ada", value: prefilled.name,
  });
  const room = h("input", {
    id: "room", name: "room", type: "text", maxlength: 128, autocomplete: "off", autocapitalize: "none",
    spellcheck: "false", value: prefilled.room,
  });
  const token = h("input", { id: "token", name: "token", type: "password", autocomplete: "off" });
  const withToken = h(
    "details",
    { class: "login-token" },
    h("summary", {}, "Use an access token"),
    field("token", "Access token", token, "A JWT, such as ", h("code", {}, "rtserver token --user ada"), " prints."),
  );
  const submit = h("button", { class: "button primary wide", type: "submit" });
  const problem = h("div", { class: "login-problem", role: "alert" });

  const onsubmit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (store.state.status.phase === "connecting") return session.end();
    const rooms = [room.value.trim()].filter(Boolean);
    if (name.value.trim() || token.value.trim()) session.start({ name: name.value.trim(), token: token.value.trim(), rooms });
    else name.focus();
  };
  const nameField = field("name", "Your name", name, NAME_HINT);
  const withOrWithout = (): void => {
    const named = token.value.trim() !== "";
    name.required = !named;
    name.placeholder = named ? "" : "Ada";
    setText(nameField.querySelector(".hint") as Element, named ? "Not needed: the name in the token is used." : NAME_HINT);
  };
  token.addEventListener("input", withOrWithout);

  const form = h(
    "form",
    { class: "login-card", onsubmit },
    h("div", { class: "login-brand" }, h("span", { class: "brand-mark" }, icon("logo", 26)), h("h1", {}, "rtserver")),
    h("p", { class: "login-lead" }, "Rooms, presence and private messages, live from this server."),
    nameField,
    field("room", "First room", room, "You can join more of them later."),
    withToken,
    problem,
    submit,
  );

  store.show(({ status }) => {
    const trying = status.phase === "connecting" || status.phase === "reconnecting";
    setText(submit, trying ? "Cancel" : "Connect");
    submit.classList.toggle("secondary", trying);
    name.disabled = room.disabled = token.disabled = trying;
    form.setAttribute("aria-busy", String(trying));
    setText(problem, said(status));
    problem.dataset["phase"] = status.phase;
    if (status.goodbye && ["unauthorized", "token_expired"].includes(status.goodbye.reason)) withToken.open = true;
  });
  if (memory.name && !prefilled.name) name.value = memory.name;

  return h("main", { class: "login" }, h("div", { class: "login-theme" }, themeButton(memory)), form);
}

function said({ phase, attempt, goodbye }: Store["state"]["status"]): string {
  if (phase === "closed") return goodbye ? `The server said no (${goodbye.reason}): ${goodbye.message}` : "";
  return attempt > 0 ? `No answer from the server yet. Trying again (attempt ${attempt + 1})…` : phase === "connecting" ? "Connecting…" : "";
}

function field(id: string, label: string, input: HTMLElement, ...hint: (string | Node)[]): HTMLElement {
  input.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    h("p", { class: "hint", id: `${id}-hint` }, ...hint),
  );
}
