/** Times and texts as people read them. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export const time = (at: number): string => clock.format(at);
export const fullTime = (at: number): string => whole.format(at);

export function dayName(at: number, now = Date.now()): string {
  const date = new Date(at).toDateString();
  if (date === new Date(now).toDateString()) return "Today";
  if (date === new Date(now - 24 * 3_600_000).toDateString()) return "Yesterday";
  return day.format(at);
}

export const milliseconds = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

export interface TextPart {
  text: string;
  href: string | null;
}

/** Splits a text into plain parts and web addresses; only http and https ever become links. */
export function textParts(text: string): TextPart[] {
  return text
    .split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}])/giu)
    .map((part, i) => ({ text: part, href: i % 2 === 1 && URL.canParse(part) ? part : null }))
    .filter((part) => part.text !== "");
}
