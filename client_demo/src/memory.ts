/** What the browser remembers: for all tabs the name, the theme and rooms; for this tab who it is signed in as. */

export type Theme = "system" | "light" | "dark";

interface TabSession {
  name: string;
  rooms: string[];
}

const KNOWN_ROOMS = 12;

export class Memory {
  get name(): string {
    return read(localStorage, "name", "");
  }

  set name(name: string) {
    write(localStorage, "name", name);
  }

  get theme(): Theme {
    return read<Theme>(localStorage, "theme", "system");
  }

  set theme(theme: Theme) {
    write(localStorage, "theme", theme);
  }

  /** Newest first. */
  get knownRooms(): string[] {
    return read<string[]>(localStorage, "rooms", []);
  }

  remember(room: string): string[] {
    const rooms = [room, ...this.knownRooms.filter((other) => other !== room)].slice(0, KNOWN_ROOMS);
    write(localStorage, "rooms", rooms);
    return rooms;
  }

  forget(room: string): string[] {
    const rooms = this.knownRooms.filter((other) => other !== room);
    write(localStorage, "rooms", rooms);
    return rooms;
  }

  /** Two tabs may be two people, so this is kept per tab; it brings a reloaded tab back to where it was. */
  get tab(): TabSession | null {
    return read<TabSession | null>(sessionStorage, "session", null);
  }

  set tab(session: TabSession | null) {
    write(sessionStorage, "session", session);
  }
}

function read<T>(storage: Storage, key: string, otherwise: T): T {
  try {
    const text = storage.getItem(`rtserver.${key}`);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

function write(storage: Storage, key: string, value: unknown): void {
  try {
    storage.setItem(`rtserver.${key}`, JSON.stringify(value));
  } catch {
    // A full or forbidden storage costs comfort only.
  }
}
