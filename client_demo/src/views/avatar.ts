/** A person's initials on a colour that is theirs everywhere. */
import { h } from "./dom";

const HUES = 8;

export function avatar(clientId: string, name: string, size: "small" | "medium" | "large" = "medium"): HTMLElement {
  return h("span", { class: `avatar avatar-${size} hue-${hue(clientId)}`, "aria-hidden": "true" }, initials(name || clientId));
}

/** FNV-1a, and then its bits mixed: names that are alike must not end up alike. */
export function hue(clientId: string): number {
  let hash = 0x811c9dc5;
  for (const character of clientId) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % HUES;
}

function initials(name: string): string {
  const words = name.trim().split(/[\s._@:-]+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")];
  const last = words.length > 1 ? [...(words.at(-1) ?? "")] : [];
  return ((first[0] ?? "?") + (last[0] ?? "")).toLocaleUpperCase();
}
