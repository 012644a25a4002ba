/** The state of the connection at a glance: phase, transport, round trip and its recent course. */
import type { Status } from "../rtclient";
import { roundTrip } from "../state/select";
import type { State } from "../state/state";
import type { Store } from "../state/store";
import { h, setText, svg } from "./dom";
import { milliseconds } from "./format";

const NAMES: Record<Status["phase"], string> = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  closed: "Disconnected",
};

/** The card in the sidebar. */
export function connectionCard(store: Store): HTMLElement {
  const dot = h("span", { class: "dot" });
  const phase = h("span", { class: "connection-phase", role: "status" });
  const transport = h("span", { class: "connection-transport" });
  const ms = h("span", { class: "connection-ms", title: "Round trip to the server" });
  const line = svg("polyline", { class: "sparkline-line", points: "" });
  const sparkline = svg("svg", { class: "sparkline", viewBox: "0 0 72 24", preserveAspectRatio: "none", "aria-hidden": "true" }, line);

  store.show((state) => {
    const { phase: now, transport: by } = state.status;
    dot.dataset["phase"] = now;
    setText(phase, NAMES[now]);
    setText(transport, by ?? (now === "reconnecting" ? `attempt ${state.status.attempt + 1}` : ""));
    setText(ms, roundTripText(state));
    line.setAttribute("points", points(state.roundTrips));
  });
  return h(
    "section",
    { class: "connection-card", "aria-label": "Connection" },
    h("div", { class: "connection-state" }, dot, h("div", {}, phase, transport)),
    h("div", { class: "connection-trip" }, sparkline, ms),
  );
}

/** The same on a phone, in the header. */
export function connectionPill(store: Store): HTMLElement {
  const dot = h("span", { class: "dot" });
  const text = h("span");
  const pill = h("span", { class: "connection-pill" }, dot, text);
  store.show((state) => {
    const { phase, transport } = state.status;
    dot.dataset["phase"] = phase;
    setText(text, phase === "connected" ? roundTripText(state) || "Online" : phase === "closed" ? "Offline" : "…");
    pill.title = [NAMES[phase], transport, roundTripText(state)].filter(Boolean).join(" · ");
  });
  return pill;
}

/** Says what is wrong, and offers what can be done about it. */
export function connectionBanner(store: Store, reconnect: () => void): HTMLElement {
  const text = h("span");
  const button = h("button", { class: "button small", type: "button", onclick: reconnect }, "Reconnect");
  const banner = h("div", { class: "banner", role: "status", hidden: true }, text, button);
  store.show(({ status }) => {
    banner.hidden = status.phase === "connected";
    banner.dataset["phase"] = status.phase;
    button.hidden = status.phase !== "closed";
    setText(text, bannerText(status));
  });
  return banner;
}

function bannerText({ phase, goodbye }: Status): string {
  const why = goodbye ? ` (${goodbye.reason}): ${goodbye.message}` : ".";
  if (phase === "closed") return `The server has ended the connection${why}`;
  return goodbye ? `Reconnecting. The server had ended the connection${why}` : "The connection is lost. Reconnecting; what you write now is sent afterwards.";
}

function roundTripText(state: State): string {
  const ms = roundTrip(state);
  return ms === null ? "" : milliseconds(ms);
}

function points(trips: readonly number[]): string {
  if (trips.length < 3) return "";
  const top = Math.max(...trips);
  const low = Math.min(...trips);
  // A quiet line shall look quiet: less than 2 ms of movement does not fill the height.
  const range = Math.max(top - low, 2);
  return trips.map((ms, i) => `${((i / (trips.length - 1)) * 70 + 1).toFixed(1)},${(21 - ((ms - low) / range) * 18).toFixed(1)}`).join(" ");
}
