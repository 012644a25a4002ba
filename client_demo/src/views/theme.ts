/** Light, dark, or whatever the system says. */
import type { Memory, Theme } from "../memory";
import { h } from "./dom";
import { icon, type IconName } from "./icons";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const LOOK: Record<Theme, { icon: IconName; name: string }> = {
  system: { icon: "contrast", name: "same as the system" },
  light: { icon: "sun", name: "light" },
  dark: { icon: "moon", name: "dark" },
};

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
}

export function themeButton(memory: Memory): HTMLElement {
  const button = h("button", { class: "icon-button", type: "button" });
  const show = (): void => {
    const look = LOOK[memory.theme];
    const label = `Colours: ${look.name}. Change to ${LOOK[NEXT[memory.theme]].name}`;
    button.replaceChildren(icon(look.icon));
    button.setAttribute("aria-label", label);
    button.title = label;
    applyTheme(memory.theme);
  };
  button.addEventListener("click", () => {
    memory.theme = NEXT[memory.theme];
    show();
  });
  show();
  return button;
}
