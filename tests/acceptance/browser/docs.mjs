// The page /docs in a real browser: node docs.mjs URL
// Says "ok …" for everything that was seen to hold; the first thing that does not hold ends it with exit code 1.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url] = process.argv.slice(2);
assert(url, "usage: node docs.mjs URL");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
page.setDefaultTimeout(10_000);
const complaints = [];
const elsewhere = [];
page.on("pageerror", (error) => complaints.push(error.stack));
page.on("console", (line) => {
  if (line.type() === "error" || line.text().includes("Content Security Policy")) complaints.push(line.text());
});
page.on("request", (request) => {
  if (new URL(request.url()).origin !== new URL(url).origin) elsewhere.push(request.url());
});

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

const item = (id) => page.locator(`details.item[id="${id}"]`);

await step("calls, webhooks and events are listed", async () => {
  await page.goto(`${url}/docs`);
  for (const id of ["publish", "webhook-message-broadcast", "event-receive.chat", "event-send.welcome"]) {
    await item(id).waitFor();
  }
});
await step("a call shows its body, its answer and its errors", async () => {
  await page.getByRole("link", { name: "/api/publish", exact: true }).click();
  const publish = item("publish");
  await publish.getByText("idempotency_key", { exact: true }).waitFor();
  await publish.getByText("recipients", { exact: true }).waitFor();
  await publish.getByText("message_too_large").waitFor();
});
await step("an event shows its payload and its acknowledgement", async () => {
  await page.goto(`${url}/docs#event-receive.join`);
  const join = item("event-receive.join");
  await join.getByText("since", { exact: true }).first().waitFor();
  await join.getByText("recovered", { exact: true }).waitFor();
});
await step("a search leaves what it finds", async () => {
  await page.getByLabel("Find").fill("revoke");
  await item("revokeTokens").waitFor();
  assert.equal(await item("publish").isVisible(), false);
});
await step("nothing is loaded from elsewhere, and nothing is complained about", async () => {
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(complaints, []);
});
if (process.argv[3]) {
  await page.getByLabel("Find").fill("");
  await page.screenshot({ path: process.argv[3] });
}
await browser.close();
