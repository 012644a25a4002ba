/** The notifications of who is signed in: asked for once, then kept in step by what the server tells. */
import { RtError, type RtClient, type TopicNotification, type UserNotification } from "./rtclient";
import type { Store } from "./state/store";

const PAGE = 50;

type Tell = (told: TopicNotification | UserNotification) => void;
type Complain = (title: string, error: RtError) => void;

export class InboxKeeper {
  #asking = false;
  #changed = false;

  constructor(
    private readonly client: RtClient,
    private readonly store: Store,
    tell: Tell,
    private readonly complain: Complain,
  ) {
    client.on("notification", tell);
    client.on("new_notification", (notification) => {
      this.#changed = true;
      store.dispatch({ type: "notified", notification });
      tell(notification);
    });
    client.on("notification_read", ({ notification_ids: ids }) => {
      this.#changed = true;
      store.dispatch({ type: "notifications_read", ids, at: new Date().toISOString() });
    });
    client.on("all_read", () => {
      this.#changed = true;
      store.dispatch({ type: "all_read", at: new Date().toISOString() });
    });
  }

  /** Asks for the inbox. Guests have none: then there is nothing to show. */
  async load(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      let page;
      do {
        // What the server tells while it answers may or may not be in the answer.
        this.#changed = false;
        page = await this.client.notifications({ limit: PAGE });
      } while (this.#changed);
      this.store.dispatch({ type: "inbox", page });
    } catch (error) {
      if (!(error instanceof RtError)) throw error;
      if (error.reason === "forbidden") this.store.dispatch({ type: "inbox", page: null });
      else if (error.reason !== "not_connected") this.complain("The inbox could not be loaded", error);
    } finally {
      this.#asking = false;
    }
  }

  /** Marks one as read, or all. What the server then tells all tabs shows it here, too. */
  async read(id?: string): Promise<void> {
    try {
      await (id === undefined ? this.client.markAllRead() : this.client.markRead([id]));
    } catch (error) {
      if (!(error instanceof RtError)) throw error;
      this.complain("Not marked as read", error);
    }
  }
}
