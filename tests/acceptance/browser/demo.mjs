// Two people use the demo page in a real browser: node demo.mjs URL [FOLDER FOR SCREENSHOTS]
// Says "ok …" for everything that was seen to hold; the first thing that does not hold ends it with exit code 1.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, folder = fileURLToPath(new URL("../../../artifacts", import.meta.url))] = process.argv.slice(2);
assert(url, "usage: node demo.mjs URL [FOLDER]");
mkdirSync(folder, { recursive: true });

const LIMIT = 10_000;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
// A room of this run's own would read badly in the picture; the server is this test's own.
const ROOM = "launch";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const complaints = [];

/** Opens the page as somebody, in a browser profile of their own. */
async function person(name, options = {}, query = new URLSearchParams({ name, room: ROOM })) {
  const context = await browser.newContext({ ...DESKTOP, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  page.on("pageerror", (error) => complaints.push(`${name}: ${error.stack}`));
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) complaints.push(`${name}: ${line.text()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) complaints.push(`${name} asked for ${request.url()}`);
  });
  const response = await page.goto(`${url}/?${query}`);
  const policy = response.headers()["content-security-policy"] ?? "none";
  if (!policy.includes("default-src 'self'") || policy.includes("unsafe")) complaints.push(`the page's policy is ${policy}`);
  return page;
}

const bubble = (page, text) => page.locator(".row-message", { hasText: text });
const member = (page, name) => page.locator(".members li", { hasText: name });
const opened = (page, name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
const conversation = (page, name) => page.locator("button.conversation", { hasText: name });

async function say(page, text) {
  await page.fill("textarea", text);
  await page.press("textarea", "Enter");
  await bubble(page, text).locator(":scope.mine.is-sent").waitFor();
}

async function step(what, check) {
  try {
    await check();
  } catch (error) {
    console.error(`not ok  ${what}\n${error.stack}`);
    await Promise.all(browser.contexts().flatMap((it) => it.pages()).map((page, i) =>
      page.screenshot({ path: join(folder, `demo-failed-${i + 1}.png`) }).catch(() => {})));
    await browser.close();
    process.exit(1);
  }
  console.log(`ok  ${what}`);
}

let ada;
let ben;

await step("a name typed into the first screen is enough to get into a room", async () => {
  ada = await person("Ada", {}, new URLSearchParams({ room: ROOM }));
  await ada.getByLabel("Your name").fill("Ada");
  await ada.getByRole("button", { name: "Connect" }).click();
  await opened(ada, ROOM);
  await ada.getByRole("link", { name: "Open a second tab" }).waitFor();
});

await step("the connection shows its state, its transport and its round trip", async () => {
  await ada.locator(".connection-card", { hasText: "Connected" }).waitFor();
  await ada.locator(".connection-transport", { hasText: "websocket" }).waitFor();
  await ada.locator(".connection-ms", { hasText: / ms$/ }).waitFor();
});

await step("who comes in is announced and listed", async () => {
  ben = await person("Ben");
  await member(ben, "Ada").waitFor();
  await member(ada, "Ben").waitFor();
  await ada.locator(".row-notice", { hasText: "Ben joined the room" }).waitFor();
});

await step("a third person and a second connection of the same person are counted", async () => {
  await person("Mina");
  await person("Mina");
  await member(ada, "Mina").waitFor();
  // The number of connections is asked for every few seconds, as nothing announces it.
  await member(ada, "Mina").getByText("2 connections").waitFor({ timeout: 20_000 });
  assert.equal(await ada.locator(".members li").count(), 3);
});

await step("a second connection that comes or goes is counted as soon as its member shows a sign of life", async () => {
  const third = await person("Mina");
  await third.locator("textarea").pressSequentially("x");
  await member(ada, "Mina").getByText("3 connections").waitFor({ timeout: 4_000 });
  await third.getByRole("button", { name: "Sign out" }).click();
  await ada.evaluate(() => window.dispatchEvent(new Event("focus")));
  await member(ada, "Mina").getByText("2 connections").waitFor({ timeout: 4_000 });
  await third.context().close();
});

await step("what one writes the others read, and everybody sees it once", async () => {
  await say(ben, "Morning! The release candidate is on staging.");
  await say(ben, "Notes are at https://example.com/notes/1.4, please have a look before lunch.");
  await bubble(ada, "please have a look before lunch").waitFor();
  await say(ada, "Reading them now. Do we mention the new reconnect behaviour, or is that for the next one?");
  await bubble(ben, "Do we mention").locator(":scope.theirs").waitFor();
  await say(ben, "I would mention it:\nnobody loses a message any more when the train goes into a tunnel.");
  await bubble(ada, "into a tunnel").waitFor();
  for (const page of [ada, ben]) assert.equal(await page.locator(".row-message").count(), 4);
});

await step("what looks like markup stays text", async () => {
  await say(ben, "<img src=x onerror=\"document.title='owned'\"> <b>bold</b>");
  await bubble(ada, "<b>bold</b>").waitFor();
  assert.equal(await ada.locator(".row-message :is(img, b)").count(), 0);
  assert.doesNotMatch(await ada.title(), /owned/);
});

await step("Shift+Enter starts a new line, and Enter alone sends", async () => {
  await ben.locator("textarea").pressSequentially("two");
  await ben.press("textarea", "Shift+Enter");
  await ben.locator("textarea").pressSequentially("lines");
  assert.equal(await ben.inputValue("textarea"), "two\nlines");
  await ben.press("textarea", "Enter");
  await bubble(ada, "two\nlines").waitFor();
});

await step("typing is shown while it lasts", async () => {
  await ben.locator("textarea").pressSequentially("And one more th");
  await ada.locator(".typing.active", { hasText: "Ben is typing…" }).waitFor();
  await ada.locator(".typing:not(.active)").waitFor({ state: "attached" });
  await ben.fill("textarea", "");
});

await step("typing ends with the message, with an emptied line, without news, and with the connection", async () => {
  const typing = ada.locator(".typing.active", { hasText: "Ben is typing…" });
  const over = (timeout) => ada.locator(".typing:not(.active)").waitFor({ state: "attached", timeout });
  await ben.locator("textarea").pressSequentially("And one more thing");
  await typing.waitFor();
  await ben.press("textarea", "Enter");
  await bubble(ada, "And one more thing").waitFor();
  await over(500);
  await ben.locator("textarea").pressSequentially("No");
  await typing.waitFor();
  await ben.fill("textarea", "");
  await over(1_000);
  // Said once and never taken back, as by a browser that has crashed.
  const tell = () => ben.evaluate((room) => window.rt.typing(room, true), ROOM);
  await tell();
  await typing.waitFor();
  await over(5_500);
  await tell();
  await typing.waitFor();
  await ada.evaluate(() => window.rt.socket.io.engine.close());
  await over(1_000);
  await ada.locator(".connection-card", { hasText: "Connected" }).waitFor();
  await ada.locator(".row-notice", { hasText: "Reconnected" }).first().waitFor();
});

await step("a private message reaches its addressee and nobody else", async () => {
  await member(ben, "Ada").locator("button").click();
  await say(ben, "Could you do the announcement?");
  await conversation(ada, "Ben").getByText("1 unread").waitFor();
  assert.match(await ada.title(), /^\(1\) /);
  await conversation(ada, "Ben").click();
  await bubble(ada, "Could you do the announcement?").waitFor();
  await say(ada, "Sure, after the stand-up.");
  await bubble(ben, "after the stand-up").waitFor();
  assert.equal(await bubble(ada, "Notes are at").count(), 0);
});

await step("a room in the background counts what is unread", async () => {
  await conversation(ben, ROOM).click();
  await say(ben, "Ada writes the announcement.");
  await conversation(ada, ROOM).getByText("1 unread").waitFor();
  await conversation(ada, ROOM).click();
  await ada.locator(".row-new").waitFor();
  assert.equal(await conversation(ada, ROOM).getByText("unread").count(), 0);
});

await step("a broadcast reaches everyone", async () => {
  await conversation(ben, "Everyone").click();
  await say(ben, "Staging restarts at 14:00.");
  await bubble(ben, "Staging restarts").getByText(/^heard by \d+$/).waitFor();
  await conversation(ada, "Everyone").getByText("1 unread").waitFor();
  await conversation(ben, ROOM).click();
});

await step("a room is joined by name, left, and suggested afterwards until it is forgotten", async () => {
  const long = "x".repeat(128);
  await ada.getByLabel("Join a room by name").fill(long);
  await ada.getByLabel("Join a room by name").press("Enter");
  await opened(ada, long);
  await ada.getByRole("button", { name: "Leave this room" }).click();
  await ada.getByRole("button", { name: `Join ${long} again` }).waitFor();
  await ada.getByRole("button", { name: `Forget ${long}` }).click();
  await ada.locator(".suggestions").waitFor({ state: "hidden" });
  assert.deepEqual(await ada.evaluate(() => window.rt.rooms()), [ROOM]);
});

await step("what the server refuses is said by reason and message, and the text is not lost", async () => {
  const refusal = await ada.evaluate(() => window.rt.private("Nobody", "hello").catch(({ code, reason }) => ({ code, reason })));
  assert.deepEqual(refusal, { code: 4004, reason: "not_found" });
  await conversation(ada, ROOM).click();
  // Behind the page's back, so that it still believes to be in the room.
  await ada.evaluate((room) => window.rt.socket.emitWithAck("leave", { room }), ROOM);
  await ada.fill("textarea", "Is this room open?");
  await ada.press("textarea", "Enter");
  await bubble(ada, "Is this room open?").locator(":scope.is-failed", { hasText: "not_a_member" }).waitFor();
  assert.equal(await ada.locator(".toast").count(), 0, "said once is enough");
  await ada.evaluate((room) => window.rt.join(room), ROOM);
  await bubble(ada, "Is this room open?").getByRole("button", { name: "Retry" }).click();
  await bubble(ben, "Is this room open?").waitFor();
});

await step("a message that is too large is folded up and goes back to where it can be made shorter", async () => {
  const text = "too long ".repeat(10_000).trim();
  await ada.fill("textarea", text);
  await ada.press("textarea", "Enter");
  const refused = ada.locator(".row-message.is-refused", { hasText: "message_too_large" });
  await refused.waitFor();
  assert.equal(await ada.locator(".toast").count(), 0);
  assert.equal(await refused.getByRole("button", { name: "Retry" }).count(), 0);
  const height = async () => (await refused.boundingBox()).height;
  assert(await height() < 250, `it is ${await height()} px high`);
  await refused.getByRole("button", { name: /^Show all/ }).click();
  assert(await height() > 2_000, `it is ${await height()} px high`);
  await refused.getByRole("button", { name: "Show less" }).click();
  await refused.getByRole("button", { name: "Edit" }).click();
  await refused.waitFor({ state: "detached" });
  assert.equal(await ada.inputValue("textarea"), text);
  await ada.fill("textarea", "");
});

await step("a room that cannot be joined says why where its name was typed", async () => {
  const input = ada.getByLabel("Join a room by name");
  await input.fill("user:ben");
  await input.press("Enter");
  await ada.locator(".join-problem", { hasText: "forbidden" }).waitFor();
  assert.equal(await ada.evaluate(() => window.getSelection().toString()), "user:ben");
  assert.equal(await ada.locator(".toast").count(), 0);
  await input.fill("");
  await ada.locator(".join-problem").waitFor({ state: "hidden" });
});

await step("whoever is alone in a room is told so, also when something was said there", async () => {
  const otto = await person("Otto", {}, new URLSearchParams({ name: "Otto", room: "attic" }));
  await otto.getByRole("button", { name: "Copy link", exact: true }).waitFor();
  await say(otto, "Anybody?");
  await otto.locator(".alone", { hasText: "You are the only one here." }).waitFor();
  await otto.getByRole("button", { name: "Copy link", exact: true }).click();
  await otto.locator(".toast", { hasText: "room=attic" }).waitFor();
  const guest = await person("Guest", {}, new URLSearchParams({ name: "Guest", room: "attic" }));
  await otto.locator(".alone").waitFor({ state: "hidden" });
  await guest.context().close();
  await otto.context().close();
});

await step("the typed client has the history and pages through who is there", async () => {
  const { messages, complete } = await ada.evaluate((room) => window.rt.history(room, { limit: 2 }), ROOM);
  assert.equal(messages.length, 2);
  assert.equal(typeof complete, "boolean");
  const seen = await ada.evaluate(async (room) => {
    const names = [];
    let page = await window.rt.presence(room, { limit: 1 });
    for (names.push(...page.members); page.next; names.push(...page.members)) {
      page = await window.rt.presence(room, { limit: 1, cursor: page.next });
    }
    return names.map(({ name }) => name);
  }, ROOM);
  assert.deepEqual(seen.sort(), ["Ada", "Ben", "Mina"]);
  const sent = await ada.evaluate((room) => window.rt.send({ message_type: "chat", room, message: "in an envelope" }), ROOM);
  assert.equal(typeof sent.offset, "number");
  await bubble(ben, "in an envelope").waitFor();
});

await step("with a token nobody is asked for a name", async () => {
  const page = await person("nobody", {}, new URLSearchParams());
  await page.getByText("Use an access token").click();
  await page.getByLabel("Access token").fill("x.y.z");
  await page.getByText("Not needed: the name in the token is used.").waitFor();
  assert.equal(await page.getByLabel("Your name").evaluate((input) => input.required), false);
  await page.getByLabel("Access token").fill("");
  assert.equal(await page.getByLabel("Your name").evaluate((input) => input.required), true);
  await page.context().close();
});

await step("a lost connection is shown, and what is written meanwhile goes out once it is back", async () => {
  await ada.context().setOffline(true);
  await ada.evaluate(() => window.rt.socket.io.engine.close());
  await ada.locator(".banner", { hasText: "Reconnecting" }).waitFor();
  await ada.fill("textarea", "Written in the tunnel.");
  await ada.press("textarea", "Enter");
  await bubble(ada, "Written in the tunnel.").locator(":scope.is-waiting").waitFor();
  await say(ben, "Said while Ada was away.");
  await ada.context().setOffline(false);
  await ada.locator(".connection-card", { hasText: "Connected" }).waitFor({ timeout: 20_000 });
  await bubble(ada, "Said while Ada was away.").waitFor();
  await bubble(ben, "Written in the tunnel.").waitFor();
  assert.equal(await bubble(ben, "Written in the tunnel.").count(), 1);
  assert.deepEqual(await ada.evaluate(() => window.rt.rooms()), [ROOM]);
});

await step("a reloaded tab is back where it was", async () => {
  await ada.reload();
  await member(ada, "Ben").waitFor();
  await conversation(ada, ROOM).waitFor();
});

await step("who leaves is announced and gone from the list", async () => {
  const cleo = await person("Cleo");
  await member(ben, "Cleo").waitFor();
  await cleo.getByRole("button", { name: "Sign out" }).click();
  await cleo.getByRole("button", { name: "Connect" }).waitFor();
  await ben.locator(".row-notice", { hasText: "Cleo left the room" }).waitFor();
  await member(ben, "Cleo").waitFor({ state: "detached" });
});

await step("on a phone everything is within reach", async () => {
  const phone = await person("Noor", { ...PHONE, colorScheme: "light" });
  await member(phone, "Ben").waitFor({ state: "attached" });
  await phone.getByRole("button", { name: "Open the menu" }).tap();
  await phone.getByLabel("Join a room by name").fill("design");
  await phone.getByLabel("Join a room by name").press("Enter");
  await opened(phone, "design");
  await phone.getByRole("button", { name: "Leave this room" }).tap();
  await opened(phone, ROOM);
  await phone.getByRole("button", { name: /^Members: / }).tap();
  await member(phone, "Ben").locator("button").tap();
  await opened(phone, "Ben");
  const width = await phone.evaluate(() => document.documentElement.scrollWidth);
  assert(width <= PHONE.viewport.width, `the page is ${width} px wide on a phone`);
  await phone.context().close();
});

await step("a long room name stays on one line on small and large screens", async () => {
  const room = `${"long-".repeat(24)}name`;
  for (const width of [320, 1280]) {
    const page = await person("Lin", { viewport: { width, height: 640 } }, new URLSearchParams({ name: "Lin", room }));
    await opened(page, room);
    const [title, input] = await Promise.all(["h1:visible", "textarea"].map(async (part) => (await page.locator(part).boundingBox())));
    assert(title.height < 30 && input.height < 45, `${width} px: title ${title.height}, composer ${input.height}`);
    assert(title.width >= 80, `${width} px: the title has ${title.width} px`);
    assert(await page.evaluate(() => document.documentElement.scrollWidth) <= width);
    await page.context().close();
  }
});

await step("nothing was fetched from elsewhere, refused by the policy or thrown", async () => {
  assert.deepEqual(complaints, []);
});

await step("pictures: desktop light, desktop dark, phone", () => pictures("Ada", "studio"));
await browser.close();

/** A room as it looks on a good day, seen by one of three people at once on three screens. */
async function pictures(name, room) {
  const query = new URLSearchParams([["name", name], ["room", room], ["room", "design"], ["room", "on-call"]]);
  const looks = {
    "demo-light": { ...DESKTOP, colorScheme: "light" },
    "demo-dark": { ...DESKTOP, colorScheme: "dark" },
    "demo-phone": { ...PHONE, colorScheme: "light" },
  };
  const screens = {};
  for (const [look, options] of Object.entries(looks)) screens[look] = await person(name, options, query);
  const main = screens["demo-light"];
  const others = {};
  for (const other of ["Ben Okafor", "Mina Sato", "Cleo Laurent"]) {
    others[other] = await person(other, {}, new URLSearchParams([["name", other], ["room", room], ["room", "design"]]));
    await member(main, other).waitFor();
  }
  const { "Ben Okafor": peer, "Mina Sato": third, "Cleo Laurent": fourth } = others;
  await say(peer, "Morning! The release candidate is on staging.");
  await say(peer, "Notes are at https://example.com/notes/1.4, please have a look before lunch.");
  await say(main, "Reading them now. Do we mention the new reconnect behaviour, or is that for the next one?");
  await say(peer, "I would mention it: nobody loses a message any more when the train goes into a tunnel.");
  await say(main, "Good line. That goes on top.");
  await say(third, "Dashboards are green, 40 minutes under load. From my side we can go.");
  await say(main, "Then let us ship at two.");
  await conversation(fourth, "design").click();
  await say(fourth, "New icons are in the shared folder.");
  await say(fourth, "Dark ones too.");
  await member(fourth, name).locator("button").click();
  await say(fourth, "Do you have five minutes after lunch?");
  // A few round trips, so that their course can be seen.
  await main.waitForTimeout(8_000);
  await peer.locator("textarea").pressSequentially("On i");
  for (const [look, page] of Object.entries(screens)) {
    await page.locator(".typing.active").waitFor();
    await page.locator(".message-text").last().scrollIntoViewIfNeeded();
    await page.screenshot({ path: join(folder, `${look}.png`) });
  }
}
