/** A user's notifications as far as the page has them. Pure data and pure functions. */
import type { InboxPage, UserNotification } from "../rtclient";

export interface Inbox {
  /** Newest first. */
  items: readonly UserNotification[];
  /** Of all in the inbox, not only of those the page has. */
  unread: number;
}

const KEPT = 100;

export function withPage({ notifications, unread }: InboxPage): Inbox {
  return { items: notifications.slice(0, KEPT), unread };
}

/** One that is there already, because the page was asked for when it came, is not counted twice. */
export function withNew(inbox: Inbox, notification: UserNotification): Inbox {
  if (inbox.items.some(({ id }) => id === notification.id)) return inbox;
  return { items: [notification, ...inbox.items].slice(0, KEPT), unread: inbox.unread + 1 };
}

/** The server names only those that were not read before, and perhaps some that the page does not have. */
export function withRead(inbox: Inbox, ids: readonly string[], at: string): Inbox {
  const known = inbox.items.filter(({ id, read_at }) => ids.includes(id) && read_at !== undefined).length;
  return {
    items: inbox.items.map((it) => (ids.includes(it.id) && it.read_at === undefined ? { ...it, read_at: at } : it)),
    unread: Math.max(0, inbox.unread - ids.length + known),
  };
}

export function withAllRead({ items }: Inbox, at: string): Inbox {
  return { items: items.map((it) => (it.read_at === undefined ? { ...it, read_at: at } : it)), unread: 0 };
}
