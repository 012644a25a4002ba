/** Tells a room that one is typing: once at the start, again while it lasts, and once when it is over. */

/** Others forget us after `TYPING_LASTS`, so we say it again before that. */
const REPEAT = 2_000;
const IDLE = 3_000;
export const TYPING_LASTS = 4_000;

export class TypingSignal {
  #room: string | null = null;
  #saidAt = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly tell: (room: string, isTyping: boolean) => void) {}

  /** A key was pressed in a room. */
  touch(room: string): void {
    if (this.#room !== null && this.#room !== room) this.stop();
    if (this.#room === null || Date.now() - this.#saidAt > REPEAT) {
      this.#saidAt = Date.now();
      this.tell(room, true);
    }
    this.#room = room;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.stop(), IDLE);
  }

  stop(): void {
    if (this.#room !== null) this.tell(this.#room, false);
    this.over();
  }

  /** Nothing to tell: the message itself says that the typing is over, and so does the end of the connection. */
  over(): void {
    clearTimeout(this.#idle);
    this.#room = null;
  }
}
