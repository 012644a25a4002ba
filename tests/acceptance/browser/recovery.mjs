// The demo page behind a line that is cut: node recovery.mjs URL-BEHIND-THE-LINE URL ROOM FOLDER-FOR-PICTURES
// Says "cut" and "mend" on stdout when the line shall be; ends with exit code 1 when something does not hold.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [cuttable, direct, ROOM, folder] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});

async function person(url, name) {
  const page = await (await browser.newContext({ locale: "en-GB" })).newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`${url}/?${new URLSearchParams({ name, room: ROOM })}`);
  await page.getByRole("heading", { level: 1, name: ROOM, exact: true }).waitFor();
  return page;
}

const bubble = (page, text) => page.locator(".row-message", { hasText: text });

async function say(page, text) {
  await page.fill("textarea", text);
  await page.press("textarea", "Enter");
  await bubble(page, text).locator(":scope.mine.is-sent").waitFor();
}

const ada = await person(cuttable, "Ada");
const ben = await person(direct, "Ben");
await ben.locator(".members li", { hasText: "Ada" }).waitFor();
await say(ben, "Before the tunnel.");
await bubble(ada, "Before the tunnel.").waitFor();
const sid = await ada.evaluate(() => window.rt.socket.id);

console.log("cut");
await ada.locator(".banner", { hasText: "Reconnecting" }).waitFor();
await say(ben, "First in the tunnel.");
await say(ben, "Second in the tunnel.");
await ada.fill("textarea", "Written in the tunnel.");
await ada.press("textarea", "Enter");

await ada.screenshot({ path: join(folder, "demo-cut.png") });

console.log("mend");
await ada.locator(".row-notice", { hasText: "Reconnected, nothing missed" }).waitFor();
await bubble(ada, "Second in the tunnel.").waitFor();
await bubble(ben, "Written in the tunnel.").waitFor();
for (const text of ["Before the tunnel.", "First in the tunnel.", "Second in the tunnel.", "Written in the tunnel."]) {
  for (const page of [ada, ben]) assert.equal(await bubble(page, text).count(), 1, text);
}
assert.deepEqual(await ada.evaluate(() => [window.rt.status.recovered, window.rt.socket.id]), [true, sid]);
assert.deepEqual(await ada.evaluate(() => window.rt.rooms()), [ROOM]);
assert.equal(await ben.locator(".row-notice", { hasText: "Ada left" }).count(), 0);
await ada.screenshot({ path: join(folder, "demo-back.png") });
await browser.close();
