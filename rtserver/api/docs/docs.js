// Shows /openapi.json and /asyncapi.json. Everything that comes from them is text, never markup.
"use strict";

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text in which `code` is shown as such. */
function prose(text) {
  return (text ?? "").split("`").map((part, index) => (index % 2 ? element("code", null, part) : part));
}

const nameOf = (reference) => reference.split("/").at(-1);

function resolve(schema, schemas) {
  return schema?.$ref ? (schemas[nameOf(schema.$ref)] ?? {}) : (schema ?? {});
}

/** A schema in one line: `string | null`, `Member[]`, `"info" | "error"`. */
function brief(schema) {
  if (!schema || typeof schema !== "object") return "any";
  if (schema.$ref) return nameOf(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const choice of ["anyOf", "oneOf"]) {
    if (schema[choice] && !schema.properties) return [...new Set(schema[choice].map(brief))].join(" | ");
  }
  if (schema.type === "array") return `${brief(schema.items)}[]`;
  if (schema.type === "object" && schema.additionalProperties) return `{name: ${brief(schema.additionalProperties)}}`;
  return schema.type ?? "any";
}

function limits(schema) {
  const told = [];
  const inner = schema.anyOf?.find((choice) => choice.type !== "null") ?? schema;
  if (schema.default !== undefined) told.push(`default ${JSON.stringify(schema.default)}`);
  if (inner.minimum !== undefined) told.push(`from ${inner.minimum}`);
  if (inner.maximum !== undefined) told.push(`to ${inner.maximum}`);
  if (inner.maxLength !== undefined) told.push(`at most ${inner.maxLength} characters`);
  if (inner.maxItems !== undefined) told.push(`at most ${inner.maxItems}`);
  return told.join(", ");
}

function fields(schema, schemas, depth = 0) {
  const whole = resolve(schema, schemas);
  const parts = [...(whole.allOf ?? []).map((part) => resolve(part, schemas)), whole];
  const properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}));
  const required = parts.flatMap((part) => part.required ?? []);
  if (!Object.keys(properties).length) return element("p", null, element("code", null, brief(schema)));
  const rows = Object.entries(properties).map(([name, field]) =>
    element(
      "tr",
      null,
      element("td", null, element("code", null, name), required.includes(name) ? null : element("span", { class: "dim" }, "?")),
      element("td", null, element("code", null, brief(field))),
      element("td", null, ...prose(field.description), element("span", { class: "dim" }, ` ${limits(field)}`)),
    ),
  );
  const table = element("table", null, element("tbody", null, ...rows));
  return depth ? table : element("div", null, table, ...nested(properties, schemas));
}

/** The schemas that the fields name, one level down. */
function nested(properties, schemas) {
  const names = new Set(JSON.stringify(properties).match(/#\/components\/schemas\/\w+/g) ?? []);
  return [...names].map((reference) =>
    element("details", null, element("summary", null, element("code", null, nameOf(reference))), fields({ $ref: reference }, schemas, 1)),
  );
}

function item(id, kind, title, summary, ...content) {
  return element(
    "details",
    { class: "item", id, "data-words": `${kind} ${title} ${summary ?? ""}`.toLowerCase() },
    element("summary", null, element("span", { class: `method ${kind}` }, kind), element("span", { class: "path" }, title), " ", element("span", { class: "dim" }, ...prose(summary))),
    element("div", null, ...content),
  );
}

function heading(text) {
  return element("h3", null, text);
}

function operation(method, path, it, schemas) {
  const content = [];
  if (it.parameters?.length) {
    content.push(heading("Parameters"), fields({ type: "object", required: it.parameters.filter((one) => one.required).map((one) => one.name), properties: Object.fromEntries(it.parameters.map((one) => [one.name, { ...one.schema, description: `(${one.in}) ${one.description ?? one.schema.description ?? ""}` }])) }, schemas));
  }
  for (const [type, { schema }] of Object.entries(it.requestBody?.content ?? {})) {
    content.push(heading(`Body: ${type}${it.requestBody.required ? "" : " (optional)"}`));
    const whole = resolve(schema, schemas);
    if (whole.description) content.push(element("p", null, ...prose(whole.description)));
    content.push(fields(schema, schemas));
  }
  for (const [status, answer] of Object.entries(it.responses ?? {})) {
    const schema = answer.content?.["application/json"]?.schema;
    content.push(element("h3", null, `${status} `, element("span", { class: "dim" }, ...prose(answer.description))));
    if (schema && status.startsWith("2")) content.push(fields(schema, schemas));
  }
  return item(it.operationId, method, path, it.summary, ...content);
}

function http(openapi) {
  const sections = new Map();
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const [method, it] of Object.entries(methods)) {
      const tag = it.tags?.[0] ?? "other";
      if (!sections.has(tag)) sections.set(tag, []);
      sections.get(tag).push(operation(method, path, it, openapi.components.schemas));
    }
  }
  const hooks = Object.entries(openapi.webhooks ?? {}).map(([type, { post }]) => operation("post", type, { ...post, operationId: `webhook-${type}` }, openapi.components.schemas));
  return [...[...sections].map(([tag, items]) => ["HTTP: " + tag, items]), ["Webhooks", hooks]];
}

function events(asyncapi) {
  const { messages, schemas } = asyncapi.components;
  const message = (reference) => messages[nameOf(reference)];
  const of = (action) =>
    Object.entries(asyncapi.operations)
      .filter(([, it]) => it.action === action)
      .map(([id, it]) => {
        const said = message(it.messages[0].$ref);
        const content = [heading("Payload"), fields(said.payload, schemas)];
        if (it.reply) content.push(heading("Acknowledgement"), ...acknowledgement(message(it.reply.messages[0].$ref).payload, schemas));
        return item(`event-${id}`, action, said.name, said.summary, ...content);
      });
  return [["Events from the client", of("receive")], ["Events from the server", of("send")]];
}

function acknowledgement(payload, schemas) {
  return (payload.oneOf ?? [payload]).flatMap((choice) => [fields(choice, schemas)]);
}

function show(sections) {
  const index = document.getElementById("index");
  const content = document.getElementById("content");
  content.replaceChildren();
  for (const [title, items] of sections) {
    content.append(element("section", null, element("h2", null, title), ...items));
    const links = items.map((one) => element("li", null, element("a", { href: `#${one.id}` }, one.querySelector(".path").textContent)));
    index.append(element("h2", null, title), element("ul", null, ...links));
  }
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) {
    target.open = true;
    target.scrollIntoView();
  }
}

function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of document.querySelectorAll("details.item")) {
    one.hidden = !words.every((word) => one.dataset.words.includes(word));
  }
}

async function start() {
  const read = async (path) => {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  };
  try {
    const [openapi, asyncapi] = await Promise.all([read("openapi.json"), read("asyncapi.json")]);
    document.getElementById("version").textContent = openapi.info.version;
    show([...http(openapi), ...events(asyncapi)]);
    open();
  } catch (error) {
    document.getElementById("content").replaceChildren(element("p", { role: "alert" }, `The documents could not be shown: ${error.message}`));
  }
}

window.addEventListener("hashchange", open);
document.getElementById("find").addEventListener("input", find);
start();
