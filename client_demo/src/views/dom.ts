/** Elements from data, without innerHTML: whatever somebody wrote can only ever become text. */

type Attribute = string | number | boolean | null | ((event: never) => void);
type Child = Node | string | null | false;

/** `on…` adds a listener, true sets an empty attribute, false and null leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

export function svg(tag: string, attributes: Record<string, string | number>, ...children: Node[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Writes text only when it changed: rewriting it would make screen readers repeat themselves. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether taking the focus is a service: on a touch screen it makes the keyboard jump up. */
export function keyboardAtHand(): boolean {
  return matchMedia("(hover: hover)").matches;
}

/**
 * Keeps a parent's children in step with a list. An element is kept while its fingerprint (anything comparable that
 * says what it shows) stays the same, so that focus, selection and scrolling survive.
 */
export class KeyedList<T> {
  readonly #shown = new Map<string, { fingerprint: readonly unknown[]; element: HTMLElement }>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: T) => string,
    private readonly fingerprint: (item: T) => readonly unknown[],
    private readonly create: (item: T) => HTMLElement,
  ) {}

  update(items: readonly T[]): void {
    const keys = new Set(items.map(this.key));
    for (const [key, { element }] of this.#shown) {
      if (keys.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    items.forEach((item, index) => {
      const element = this.#element(item);
      const there = this.parent.children[index];
      if (there !== element) this.parent.insertBefore(element, there ?? null);
    });
  }

  #element(item: T): HTMLElement {
    const key = this.key(item);
    const fingerprint = this.fingerprint(item);
    const shown = this.#shown.get(key);
    if (shown && same(shown.fingerprint, fingerprint)) return shown.element;
    const element = this.create(item);
    if (shown) {
      const focused = focusedPart(shown.element);
      shown.element.replaceWith(element);
      if (focused !== null) element.querySelectorAll<HTMLElement>("button")[focused]?.focus();
    }
    this.#shown.set(key, { fingerprint, element });
    return element;
  }
}

/** Which of an element's buttons has the keyboard's focus. */
function focusedPart(element: HTMLElement): number | null {
  const index = [...element.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement);
  return index < 0 ? null : index;
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
