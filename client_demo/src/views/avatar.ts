/** A person's initials on a colour that is theirs everywhere. */
import { h } from "./dom";

const HUES = 8;

export function avatar(clientId: string, name: string, size: "small" | "medium" | "large" = "medium"): HTMLElement {
  return h("span", { class: `avatar avatar-${size} hue-${hue(clientId)}`, "aria-hidden": "true" }, initials(name || clientId));
}

export function hue(clientId: string): number {
  let sum = 8;
  for (const character of clientId) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return sum % HUES;
}

function initials(name: string): string {
  const words = name.trim().split(/[\s._@:-]+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")];
  const last = words.length > 1 ? [...(words.at(-1) ?? "")] : [];
  return ((first[0] ?? "?") + (last[0] ?? "")).toLocaleUpperCase();
}
