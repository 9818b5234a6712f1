// socket.io's own client against a socketioxide server: polling, WebSocket, and the upgrade from one to the other.
//
// node socketio.mjs BASE_URL

import assert from "node:assert/strict";
import { once } from "node:events";

import { io } from "socket.io-client";

import { parameters, run } from "./checks.mjs";

const [baseUrl] = parameters("BASE_URL");

await run({
  "polling only": async () => {
    const client = await connect({ transports: ["polling"] });
    await converse(client);
    assert.equal(transport(client), "polling");
    await disconnect(client);
  },

  "websocket only": async () => {
    const client = await connect({ transports: ["websocket"] });
    assert.equal(transport(client), "websocket");
    await converse(client);
    await disconnect(client);
  },

  "polling, upgraded to websocket": async () => {
    // Connected by hand, so that nobody listens too late for the upgrade.
    const client = io(baseUrl, { forceNew: true, reconnection: false, autoConnect: false });
    const upgraded = new Promise((resolve) => {
      client.io.once("open", () => {
        assert.equal(transport(client), "polling");
        client.io.engine.once("upgrade", resolve);
      });
    });
    const connected = connection(client);
    client.connect();
    await connected;
    assert.equal((await upgraded).name, "websocket");
    await converse(client);
    assert.equal(transport(client), "websocket");
    await disconnect(client);
  },
});

async function connect(options) {
  const client = io(baseUrl, { forceNew: true, reconnection: false, ...options });
  await connection(client);
  return client;
}

/** Resolves when the client is connected, fails with the reason why it is not. */
function connection(client) {
  return new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("connect_error", reject);
  });
}

function transport(client) {
  return client.io.engine.transport.name;
}

/** Text, binary and both at once, as events and as acknowledgements. */
async function converse(client) {
  const binary = Buffer.from([0x00, 0x7f, 0x80, 0xff]);
  for (const data of ["Grüße, 世界", binary, { text: "both", binary }, "x".repeat(50_000)]) {
    const answer = once(client, "message-back");
    client.emit("message", data);
    assert.deepEqual(await answer, [data]);

    const acknowledged = await client.timeout(10_000).emitWithAck("message-with-ack", data);
    // Servers differ in whether they wrap a single value.
    assert.deepEqual([acknowledged].flat(), [data]);
  }
}

async function disconnect(client) {
  const disconnected = once(client, "disconnect");
  const closed = once(client.io.engine, "close");
  client.disconnect();
  assert.deepEqual((await disconnected)[0], "io client disconnect");
  assert.deepEqual((await closed)[0], "forced close");
}
