// The echo application's page in Chromium over TLS: which version of HTTP it comes by, as the server tells.
//
// node tls.mjs BASE_URL CERTIFICATE SERVER_LOG SCREENSHOT_DIR

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parameters, run } from "./checks.mjs";
import { launch, trust } from "./chromium.mjs";
import { connect, echoes, socketOf } from "./echo-page.mjs";

const [baseUrl, certificate, serverLog, screenshots] = parameters(
  "BASE_URL",
  "CERTIFICATE",
  "SERVER_LOG",
  "SCREENSHOT_DIR",
);

await run({
  "over HTTP/2 the socket is a stream of the connection that brought the page": async () => {
    const { page, socket } = await visit([trust(certificate)], "tls-http2");
    assert.deepEqual([page.version, socket.version, socket.method], ["HTTP/2.0", "HTTP/2.0", "CONNECT"]);
    assert.equal(socket.peer, page.peer);
  },

  "without HTTP/2 it is upgraded on a connection of HTTP/1.1": async () => {
    const { page, socket } = await visit([trust(certificate), "--disable-http2"], "tls-http1");
    assert.deepEqual([page.version, socket.version, socket.method], ["HTTP/1.1", "HTTP/1.1", "GET"]);
  },
});

/** Opens the page in a new browser and has a message echoed; what the server logged of the page and of the socket. */
async function visit(args, screenshot) {
  const earlier = requests().length;
  const browser = await launch(...args);
  const { log, reports, page } = await connect(browser, baseUrl, socketOf(baseUrl), "Open");
  assert.deepEqual(log, [`Connection opened: ${socketOf(baseUrl)}`]);
  assert.deepEqual(reports, []);
  await echoes(page, "hello");
  await page.getByRole("button", { name: "Close Socket" }).click();
  await page.getByRole("status").getByText("Closed", { exact: true }).waitFor();
  assert.equal(await page.getByRole("cell", { name: "Connection closed: code 1000, no reason" }).count(), 1);
  await page.screenshot({ path: join(screenshots, `${screenshot}.png`) });
  await browser.close();

  const seen = requests().slice(earlier);
  const only = (path) => {
    const found = seen.filter((request) => request.path === path);
    assert.equal(found.length, 1, `one request for ${path} in ${JSON.stringify(seen)}`);
    return found[0];
  };
  return { page: only("/"), socket: only("/ws") };
}

function requests() {
  const line = /request\{peer=(?<peer>\S+) version=(?<version>\S+) method=(?<method>\S+) path="(?<path>.*)"\}.* answered /g;
  return [...readFileSync(serverLog, "utf8").matchAll(line)].map(({ groups }) => ({ ...groups }));
}
