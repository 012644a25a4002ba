/** Who is in the room. */
import type { Member } from "../rtclient";
import type { Session } from "../session";
import { currentConversation, sortedMembers } from "../state/select";
import type { Store } from "../state/store";
import { directId } from "../state/conversation";
import { avatar } from "./avatar";
import { h, KeyedList, setText } from "./dom";
import { icon } from "./icons";

export function membersView(store: Store, session: Session, done: () => void): HTMLElement {
  const title = h("h2");
  const list = h("ul", { class: "members" });
  const more = h("p", { class: "members-more" });
  const open = ({ client_id, name }: Member): void => {
    session.open(directId(client_id), name);
    done();
  };
  const keyed = new KeyedList<Member>(
    list,
    ({ client_id }) => client_id,
    ({ name, connections, verified }) => [name, connections, verified, store.state.me?.clientId],
    (member) => memberItem(member, store.state.me?.clientId ?? "", open),
  );
  const panel = h(
    "aside",
    { class: "members-panel", "aria-label": "Members" },
    h(
      "div",
      { class: "members-top" },
      title,
      h("button", { class: "icon-button drawer-close", type: "button", "aria-label": "Close the members", onclick: done }, icon("close")),
    ),
    list,
    more,
  );

  store.show((state) => {
    const { kind, members, count } = currentConversation(state);
    panel.hidden = kind !== "room";
    if (kind !== "room") return;
    setText(title, `Here now · ${count}`);
    keyed.update(sortedMembers(members, state.me?.clientId ?? ""));
    const hidden = count - members.length;
    setText(more, members.length === 0 ? "This room does not tell who is here." : hidden > 0 ? `and ${hidden} more` : "");
  });
  return panel;
}

function memberItem(member: Member, me: string, open: (member: Member) => void): HTMLElement {
  const { client_id, name, verified, connections } = member;
  const details = [name !== client_id && client_id, connections > 1 && `${connections} connections`].filter(Boolean).join(" · ");
  const content = [
    h("span", { class: "with-presence" }, avatar(client_id, name), h("span", { class: "presence-dot" })),
    h(
      "span",
      { class: "member-text" },
      h(
        "span",
        { class: "member-name" },
        h("span", { class: "clipped" }, name),
        client_id === me && h("span", { class: "tag" }, "you"),
        verified && h("span", { class: "verified", title: "A token vouches for this name" }, icon("verified", 15), h("span", { class: "visually-hidden" }, "verified")),
      ),
      details && h("span", { class: "member-details clipped" }, details),
    ),
  ];
  if (client_id === me) return h("li", {}, h("div", { class: "member" }, ...content));
  return h(
    "li",
    {},
    h("button", { class: "member", type: "button", title: `Write to ${name}`, onclick: () => open(member) }, ...content),
  );
}
