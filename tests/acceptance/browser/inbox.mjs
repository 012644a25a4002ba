// The inbox of the demo page in a real browser: node inbox.mjs URL KEY TOKEN USER
// Says "ok …" for everything that was seen to hold; the first thing that does not hold ends it with exit code 1.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, key, token, user] = process.argv.slice(2);
assert(user, "usage: node inbox.mjs URL KEY TOKEN USER");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const complaints = [];

async function open(signIn) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) complaints.push(line.text());
  });
  await page.goto(url);
  await signIn(page);
  await page.getByRole("button", { name: "Connect" }).click();
  await page.locator(".connection-card", { hasText: "Connected" }).waitFor();
  return page;
}

const withToken = async (page) => {
  await page.getByText("Use an access token").click();
  await page.getByLabel("Access token").fill(token);
};

async function put(notification) {
  const response = await fetch(`${url}/api/users/${user}/notifications`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(notification),
  });
  assert.equal(response.status, 201);
}

const bell = (page, unread) => page.getByRole("button", { name: `Notifications: ${unread} unread` });
const item = (page, title) => page.locator(".inbox-item", { hasText: title });

async function step(what, check) {
  try {
    await check();
  } catch (error) {
    console.error(`not ok  ${what}\n${error.stack}\n${complaints.join("\n")}`);
    await browser.close();
    process.exit(1);
  }
  console.log(`ok  ${what}`);
}

let first;
let second;

await step("what came before anybody was there is counted at the bell, in every tab", async () => {
  await put({ title: "While you were away", message: "The build is green.", type: "success" });
  first = await open(withToken);
  second = await open(withToken);
  for (const page of [first, second]) {
    await bell(page, 1).waitFor();
    assert.equal(await page.locator(".inbox-badge").innerText(), "1");
  }
});

await step("a new one is announced and counted", async () => {
  await put({ title: "Disk almost full", message: "<b>93 %</b>", type: "warning" });
  for (const page of [first, second]) {
    await page.locator(".toast-warning", { hasText: "Disk almost full" }).waitFor();
    await bell(page, 2).waitFor();
  }
});

await step("the inbox shows them, newest first and as text", async () => {
  await bell(first, 2).click();
  await item(first, "Disk almost full").getByText("<b>93 %</b>", { exact: true }).waitFor();
  const titles = await first.locator(".inbox-item strong").allInnerTexts();
  assert.deepEqual(titles, ["Disk almost full", "While you were away"]);
});

await step("what is read in one tab is read in the other", async () => {
  await first.getByRole("button", { name: "Mark as read: While you were away" }).click();
  for (const page of [first, second]) await bell(page, 1).waitFor();
  await bell(second, 1).click();
  await second.locator(".inbox-item:not(.is-unread)", { hasText: "While you were away" }).waitFor();
  await second.getByRole("button", { name: "Mark all as read" }).click();
  for (const page of [first, second]) {
    await bell(page, 0).waitFor();
    await page.locator(".inbox-badge").waitFor({ state: "hidden" });
  }
});

await step("Escape closes the inbox, and the keyboard is back at the bell", async () => {
  await second.keyboard.press("Escape");
  await second.locator(".inbox-panel").waitFor({ state: "hidden" });
  await first.locator("textarea").click();
  await first.locator(".inbox-panel").waitFor({ state: "hidden" });
});

await step("a reloaded page, and one that comes back, count right", async () => {
  await first.context().setOffline(true);
  await first.evaluate(() => window.rt.socket.io.engine.close());
  await first.locator(".banner", { hasText: "Reconnecting" }).waitFor();
  await put({ title: "Said in the tunnel", message: "", type: "error" });
  await bell(second, 1).waitFor();
  await first.context().setOffline(false);
  await bell(first, 1).waitFor({ timeout: 20_000 });
});

await step("a topic is heard, after a reconnect as well", async () => {
  await second.evaluate(() => window.rt.subscribe("deploys"));
  await second.evaluate(() => window.rt.socket.io.engine.close());
  await second.locator(".banner", { hasText: "Reconnecting" }).waitFor();
  await second.locator(".connection-card", { hasText: "Connected" }).waitFor({ timeout: 20_000 });
  await second.evaluate(() => window.rt.ping());
  const response = await fetch(`${url}/notify/deploys`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body: new URLSearchParams({ title: "1.4 is out", message: "Enjoy" }),
  });
  assert.deepEqual(await response.json(), { sent: 1 });
  await second.locator(".toast", { hasText: "deploys: 1.4 is out" }).waitFor();
});

await step("a guest has no bell", async () => {
  const guest = await open((page) => page.getByLabel("Your name").fill("Guest"));
  await guest.evaluate(() => window.rt.ping());
  assert.equal(await guest.locator(".inbox").isVisible(), false);
  assert.equal(await guest.locator(".toast").count(), 0);
});

await step("nothing was refused by the page's policy or thrown", async () => assert.deepEqual(complaints, []));
await browser.close();
