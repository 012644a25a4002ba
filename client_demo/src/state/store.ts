/** The one place the state lives. Whoever shows it is told once after a burst of changes. */
import type { Action } from "./action";
import { reduce } from "./reduce";
import { initialState, type State } from "./state";

export type View = (state: State) => void;

export class Store {
  #state = initialState;
  #views: View[] = [];
  #scheduled = false;

  get state(): State {
    return this.#state;
  }

  dispatch(action: Action): void {
    this.#state = reduce(this.#state, action);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not requestAnimationFrame: a hidden tab has no frames, but its title shall count unread messages.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#views.forEach((view) => view(this.#state));
    });
  }

  show(view: View): void {
    this.#views.push(view);
    view(this.#state);
  }
}
