// socket.io's own client in Chromium, on a connection that speaks HTTP/2 and offers extended CONNECT.
//
// node socketio-http2.mjs BASE_URL CERTIFICATE

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { parameters, run } from "./checks.mjs";
import { launch, trust } from "./chromium.mjs";

const [baseUrl, certificate] = parameters("BASE_URL", "CERTIFICATE");
const browser = await launch(trust(certificate));
const page = await browser.newPage();

await run({
  "the page comes over HTTP/2": async () => {
    // Any page of this origin will do; this is engine.io's answer to a poll.
    const response = await page.goto(`${baseUrl}/socket.io/?EIO=4&transport=polling`);
    assert.equal(response.status(), 200);
    const [{ nextHopProtocol }] = await page.evaluate(() => performance.getEntriesByType("navigation").map((it) => it.toJSON()));
    assert.equal(nextHopProtocol, "h2");
    await page.addScriptTag({ path: fileURLToPath(import.meta.resolve("socket.io-client/dist/socket.io.js")) });
  },

  "websocket only": async () => assert.equal(await converse(["websocket"]), "websocket"),

  "polling, upgraded to websocket": async () => assert.equal(await converse(["polling", "websocket"]), "websocket"),
});

/** Connects, has an event acknowledged and disconnects; the transport that it came to. */
function converse(transports) {
  return page.evaluate(async (transports) => {
    const client = io({ transports, forceNew: true, reconnection: false, autoConnect: false });
    const upgraded = new Promise((resolve) => {
      client.io.once("open", () => {
        if (transports.length === 1) resolve();
        client.io.engine.once("upgrade", resolve);
      });
    });
    await new Promise((resolve, reject) => {
      client.once("connect", resolve);
      client.once("connect_error", reject);
      client.connect();
    });
    await upgraded;
    const answer = await client.timeout(10_000).emitWithAck("message-with-ack", "hello");
    if ([answer].flat()[0] !== "hello") throw new Error(`answered by ${answer}`);
    const { name } = client.io.engine.transport;
    client.disconnect();
    return name;
  }, transports);
}
