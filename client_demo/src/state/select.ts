/** What can be told from the state. */
import type { Member } from "../rtclient";
import { conversation, EVERYONE, type Conversation, type Typist } from "./conversation";
import type { State } from "./state";

export function currentConversation(state: State): Conversation {
  return state.conversations.find(({ id }) => id === state.current) ?? conversation(EVERYONE);
}

export function totalUnread(state: State): number {
  return state.conversations.reduce((sum, { unread }) => sum + unread, 0);
}

/** Oneself first, then by name. */
export function sortedMembers(members: readonly Member[], me: string): Member[] {
  const rank = (member: Member): number => (member.client_id === me ? 0 : 1);
  return [...members].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** Whether one of the rooms we are in shows this client; undefined when none can tell. */
export function isPresent(state: State, clientId: string): boolean {
  return state.conversations.some(({ members }) => members.some((member) => member.client_id === clientId));
}

export function typingLine(typists: readonly Typist[]): string {
  const [first, second] = typists.map(({ name }) => name);
  if (first === undefined) return "";
  if (second === undefined) return `${first} is typing…`;
  return typists.length === 2 ? `${first} and ${second} are typing…` : `${first} and ${typists.length - 1} others are typing…`;
}

/** The median of the latest round trips: one slow answer shall not make the number jump. */
export function roundTrip(state: State): number | null {
  const sorted = state.roundTrips.slice(-5).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
