/** Puts the page together: memory, store, session, and the screen that fits. */
import { Memory } from "./memory";
import type { RtClient } from "./rtclient";
import { Session } from "./session";
import { Store } from "./state/store";
import { chatView } from "./views/chat";
import { keyboardAtHand } from "./views/dom";
import { loginView } from "./views/login";
import { applyTheme } from "./views/theme";
import { toastsView } from "./views/toasts";

declare global {
  interface Window {
    /** The client of this page, to try things in the console: `await rt.join("lobby")`. */
    readonly rt: RtClient | null;
  }
}

const memory = new Memory();
const store = new Store();
const session = new Session(store, memory);
const query = new URLSearchParams(location.search);
const asked = { name: query.get("name")?.trim() ?? "", rooms: query.getAll("room").map((room) => room.trim()).filter(Boolean) };

Object.defineProperty(window, "rt", { get: () => session.client });
applyTheme(memory.theme);
store.dispatch({ type: "known_rooms", rooms: memory.knownRooms });
document.addEventListener("visibilitychange", () => {
  store.dispatch({ type: "visible", visible: document.visibilityState === "visible" });
  session.looked();
});
window.addEventListener("focus", () => session.looked());

const login = loginView(store, session, memory, { name: asked.name, room: asked.rooms[0] ?? "lobby" });
const chat = chatView(store, session, memory);
document.getElementById("app")?.append(login, chat, toastsView(store));

store.show(({ me }) => {
  const signedOut = me === null;
  if (login.hidden !== signedOut && chat.hidden === signedOut) return;
  // A reload after signing out must not sign in again.
  if (signedOut && chat.hidden === false) history.replaceState(null, "", location.pathname);
  login.hidden = !signedOut;
  chat.hidden = signedOut;
  if (keyboardAtHand()) (signedOut ? login : chat).querySelector<HTMLElement>(signedOut ? "#name" : "textarea")?.focus();
});

const remembered = memory.tab;
if (asked.name) session.start({ name: asked.name, token: "", rooms: asked.rooms });
else if (remembered) session.start({ name: remembered.name, token: "", rooms: [...new Set([...asked.rooms, ...remembered.rooms])] });
