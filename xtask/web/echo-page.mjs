// The echo application's page, as the scripts beside this file use it.

import assert from "node:assert/strict";

/** Opens the page, connects to `socketUrl` from there and waits for `state`; what the page logged and what the console says. */
export async function connect(browser, pageUrl, socketUrl, state) {
  const page = await browser.newPage();
  page.setDefaultTimeout(10_000);
  const reports = [];
  page.on("console", (message) => reports.push(message.text()));
  const response = await page.goto(pageUrl);
  assert.equal(response.status(), 200);
  await page.getByLabel("WebSocket server URL").fill(socketUrl);
  await page.getByLabel("WebSocket server URL").press("Enter");
  await page.getByRole("status").getByText(state, { exact: true }).waitFor();
  const log = await page.locator("[role=log] tbody tr").allTextContents();
  return { log: log.map((row) => row.trim()), reports, page };
}

/** Sends a message and waits for it to come back. */
export async function echoes(page, message) {
  await page.getByLabel("Message to send").fill(message);
  await page.getByLabel("Message to send").press("Enter");
  await page.getByRole("cell", { name: message }).nth(1).waitFor();
}

export function socketOf(url) {
  return `${url.replace(/^http/, "ws")}/ws`;
}
