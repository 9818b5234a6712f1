// Pages of several origins in Chromium, each with the echo application's own script, and the sockets that they get.
//
// node origins.mjs SERVER_URL OTHER_URL NGINX_URL NGINX_WITHOUT_PORT_URL SCREENSHOT_DIR
//
// OTHER is a second server, which admits the pages of SERVER by its option --origin. Both proxies are SERVER's; the second
// one strips the port from Host.

import assert from "node:assert/strict";
import { join } from "node:path";

import { parameters, run } from "./checks.mjs";
import { launch } from "./chromium.mjs";
import { connect, echoes, socketOf } from "./echo-page.mjs";

const [server, other, nginx, withoutPort, screenshots] = parameters(
  "SERVER_URL",
  "OTHER_URL",
  "NGINX_URL",
  "NGINX_WITHOUT_PORT_URL",
  "SCREENSHOT_DIR",
);

// A name that the attacker's own DNS resolves to this machine.
const browser = await launch("--host-resolver-rules=MAP evil.example 127.0.0.1");
const named = (name, url) => url.replace("127.0.0.1", name);

await run({
  "a page of the server gets its socket": () => isAdmitted(server, server),

  "so does one under localhost": () => isAdmitted(named("localhost", server), named("localhost", server)),

  "a page of another port is refused": () => isRefused(other, server, "another-port"),

  "a page of another name for the same server is refused": () => isRefused(named("localhost", server), server),

  "a page with its name rebound to the server is refused": () =>
    isRefused(named("evil.example", server), named("evil.example", server), "rebound"),

  "a page that the operator listed gets its socket": () => isAdmitted(server, other),

  "a sandboxed frame, whose origin is null, is refused": async () => {
    const page = await browser.newPage();
    await page.goto(server);
    const sent = page.waitForEvent("console", (message) => message.text().includes("403"));
    const code = await page.evaluate(async (socketUrl) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      frame.srcdoc = `<script>
        new WebSocket(${JSON.stringify(socketUrl)}).onclose = ({ code }) => parent.postMessage(code, "*");
      </script>`;
      document.body.append(frame);
      return new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data), { once: true }));
    }, socketOf(server));
    assert.equal(code, 1006);
    await sent;
    await page.close();
  },

  "through nginx a page of its own gets its socket": () => isAdmitted(nginx, nginx, "nginx"),

  "through nginx a page of another port is refused": () => isRefused(other, nginx),

  "through nginx that strips the port even its own page is refused": () => isRefused(withoutPort, withoutPort),
});

async function isAdmitted(pageUrl, serverUrl, screenshot) {
  const { log, reports, page } = await connect(browser, pageUrl, socketOf(serverUrl), "Open");
  assert.deepEqual(log, [`Connection opened: ${socketOf(serverUrl)}`]);
  assert.deepEqual(reports, []);
  await echoes(page, "hello");
  await finish(page, screenshot);
}

/** The page learns no more than that it got no socket; the console, which the page cannot read, has the status. */
async function isRefused(pageUrl, serverUrl, screenshot) {
  const { log, reports, page } = await connect(browser, pageUrl, socketOf(serverUrl), "Closed");
  assert.deepEqual(log, ["Connection closed: code 1006, no reason"]);
  assert.equal(reports.length, 1);
  assert.match(reports[0], /Unexpected response code: 403/);
  await finish(page, screenshot);
}

async function finish(page, screenshot) {
  if (screenshot) await page.screenshot({ path: join(screenshots, `${screenshot}.png`) });
  await page.close();
}
