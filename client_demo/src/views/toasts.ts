/** Short messages that pass: what the server refused, and what it announces. */
import type { Toast } from "../state/state";
import type { Store } from "../state/store";
import { h, KeyedList } from "./dom";
import { icon, type IconName } from "./icons";

const LASTS = 7_000;
export const TONE_ICONS: Record<Toast["tone"], IconName> = { error: "warning", warning: "warning", info: "info", success: "check" };

export function toastsView(store: Store): HTMLElement {
  const list = h("div", { class: "toasts", role: "alert" });
  const gone = (key: string): void => store.dispatch({ type: "toast_gone", key });
  const keyed = new KeyedList<Toast>(list, ({ key }) => key, () => [], (toast) => toastItem(toast, () => gone(toast.key)));
  store.show(({ toasts }) => keyed.update(toasts));
  return list;
}

function toastItem({ tone, title, text }: Toast, gone: () => void): HTMLElement {
  let timer = setTimeout(gone, LASTS);
  // Whoever is reading it, or about to close it, gets the time to do so.
  const hold = (): void => clearTimeout(timer);
  const resume = (): void => {
    hold();
    timer = setTimeout(gone, LASTS);
  };
  return h(
    "div",
    { class: `toast toast-${tone}`, onmouseenter: hold, onmouseleave: resume, onfocusin: hold, onfocusout: resume },
    icon(TONE_ICONS[tone]),
    h("div", { class: "toast-text" }, h("strong", {}, title), h("span", {}, text)),
    h("button", { class: "icon-button", type: "button", "aria-label": "Dismiss", onclick: gone }, icon("close", 16)),
  );
}
