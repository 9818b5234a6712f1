// The echo application's page in Chromium over TLS: the version of HTTP and the connection of each request, by the server's
// log. The last check stops the server.
//
// node tls.mjs BASE_URL CERTIFICATE SERVER_LOG SERVER_PID SCREENSHOT_DIR

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";

import { parameters, run } from "./checks.mjs";
import { launch, trust } from "./chromium.mjs";
import { connect, echoes, socketOf } from "./echo-page.mjs";

const [baseUrl, certificate, serverLog, serverPid, screenshots] = parameters(
  "BASE_URL",
  "CERTIFICATE",
  "SERVER_LOG",
  "SERVER_PID",
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

  // RFC 9113, 6.8: "Receivers of a GOAWAY frame MUST NOT open additional streams on the connection, although a new
  // connection can be established for new streams."
  "a page that loses its socket to the drain and tries again at once comes on a new connection": async () => {
    await openSilent();
    const earlier = requests().length;
    const browser = await launch(trust(certificate));
    const page = await browser.newPage();
    await page.goto(baseUrl);
    await page.evaluate(
      (url) =>
        new Promise((resolve, reject) => {
          const first = new WebSocket(url);
          first.onopen = resolve;
          first.onerror = () => reject(new Error("the first try failed"));
          window.closes = new Promise((resolve) => {
            first.onclose = (one) => {
              new WebSocket(url).onclose = (two) => resolve([one, two].map(({ code, reason }) => [code, reason]));
            };
          });
        }),
      socketOf(baseUrl),
    );
    process.kill(Number(serverPid), "SIGTERM");
    assert.deepEqual(await page.evaluate(() => window.closes), [
      [1001, "the server stops"],
      [1006, ""],
    ]);
    await browser.close();

    const seen = requests().slice(earlier);
    const [first, second, ...more] = seen.filter((request) => request.path === "/ws");
    assert.ok(first && second && more.length === 0, `two tries in ${JSON.stringify(seen)}`);
    assert.deepEqual([first.version, first.method, first.status], ["HTTP/2.0", "CONNECT", "200"]);
    assert.equal(first.peer, seen.find((request) => request.path === "/").peer);
    assert.equal(second.status, "503");
    assert.notEqual(second.peer, first.peer, `the second try came on the old connection: ${JSON.stringify(second)}`);
  },
});

/** Opens a socket that does not answer a Close. A drain waits 10 s for the answer, and the server goes on accepting. */
async function openSilent() {
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": randomBytes(16).toString("base64"),
  };
  await once(get(`${baseUrl}/ws`, { ca: readFileSync(certificate), headers }), "upgrade");
}

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
  const span = /request\{peer=(?<peer>\S+) version=(?<version>\S+) method=(?<method>\S+) path="(?<path>.*)"\}/;
  const line = new RegExp(`${span.source}.* answered status=(?<status>\\d+)`, "g");
  return [...readFileSync(serverLog, "utf8").matchAll(line)].map(({ groups }) => ({ ...groups }));
}
