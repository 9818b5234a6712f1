// permessage-deflate (RFC 7692) against `ws`: random messages, each of which has to come back as it went.
//
// node compression.mjs BASE_URL

import assert from "node:assert/strict";
import { once } from "node:events";

import WebSocket from "ws";

import { parameters, run } from "./checks.mjs";

const [baseUrl] = parameters("BASE_URL");
const url = `${baseUrl.replace(/^http/, "ws")}/ws`;

const MESSAGES = 40;
const LARGEST = 300_000;

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
console.log(`SEED=${seed}`);
const random = mulberry32(seed);

/** What the client offers, and what of it the answer has to have. */
const offers = [
  [{}, "permessage-deflate"],
  [{ serverMaxWindowBits: 15 }, "server_max_window_bits=15"],
  [{ serverMaxWindowBits: 9 }, "server_max_window_bits=9"],
  [{ clientMaxWindowBits: 9 }, "client_max_window_bits=9"],
  [{ clientMaxWindowBits: 11, serverMaxWindowBits: 10 }, "server_max_window_bits=10; client_max_window_bits=11"],
  [{ serverNoContextTakeover: true }, "server_no_context_takeover"],
  [{ clientNoContextTakeover: true }, "client_no_context_takeover"],
  [
    { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=9",
  ],
  [{ serverNoContextTakeover: true, clientMaxWindowBits: 10 }, "server_no_context_takeover"],
  [{ clientNoContextTakeover: true, serverMaxWindowBits: 11 }, "client_no_context_takeover"],
];

const checks = {
  "without an offer nothing is compressed": async () => {
    const { socket, answer } = await open(false);
    assert.equal(answer, undefined);
    await converse(socket);
  },

  "a window of 256 bytes is declined": async () => {
    // Offered past `ws`, which would fail a handshake that answers to what it did not offer.
    const { socket, answer } = await open(false, { "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=8" });
    assert.equal(answer, undefined);
    await converse(socket);
  },
};

for (const [offer, expected] of offers) {
  checks[`messages come back with ${JSON.stringify(offer)}`] = async () => {
    const { socket, answer } = await open({ threshold: 0, ...offer });
    assert.ok(answer.includes(expected), answer);
    // Some clients fail over a limit that they did not ask for.
    assert.equal(answer.includes("server_max_window_bits"), "serverMaxWindowBits" in offer, answer);
    assert.ok(socket.extensions.includes("permessage-deflate"));
    await converse(socket);
  };
}

checks["sockets at the same time"] = async () => {
  const sockets = await Promise.all(offers.map(([offer]) => open({ threshold: 0, ...offer })));
  await Promise.all(sockets.map(({ socket }) => converse(socket)));
};

await run(checks, { seconds: 120 });

async function open(perMessageDeflate, headers) {
  const socket = new WebSocket(url, { perMessageDeflate, headers });
  socket.on("error", () => {}); // whoever waits hears of it there
  const answered = once(socket, "upgrade");
  await once(socket, "open");
  const [response] = await answered;
  return { socket, answer: response.headers["sec-websocket-extensions"] };
}

/** Sends random messages, some at once, and closes. */
async function converse(socket) {
  const sent = [];
  let received = 0;
  const done = new Promise((resolve, reject) => {
    socket.on("message", (data, isBinary) => {
      const expected = sent[received];
      received += 1;
      if (!expected || isBinary !== expected.isBinary || !data.equals(expected.payload)) {
        const length = expected?.payload.length;
        reject(new Error(`message ${received} of ${length} bytes came back as ${data.length} others`));
      }
      if (received === MESSAGES) resolve();
    });
    socket.on("error", reject);
    socket.on("close", (code, reason) => reject(new Error(`closed with ${code} ${reason} behind ${received} messages`)));
  });

  for (let index = 0; index < MESSAGES; index += 1) {
    const isBinary = random() < 0.5;
    const message = { isBinary, payload: payload(size(index), isBinary ? 256 : 128) };
    sent.push(message);
    send(socket, message);
    if (random() < 0.3) socket.ping();
    if (random() < 0.3) await new Promise(setImmediate);
  }
  await done;

  const closed = new Promise((resolve) => {
    socket.removeAllListeners("close");
    socket.once("close", resolve);
  });
  socket.close(1000);
  assert.equal(await closed, 1000);
}

/** In one frame or several, compressed or not. */
function send(socket, { isBinary, payload }) {
  const compress = random() < 0.9;
  const pieces = random() < 0.5 ? 1 : 1 + Math.floor(random() * 5);
  const data = isBinary ? payload : payload.toString();
  if (pieces === 1) {
    socket.send(data, { binary: isBinary, compress });
    return;
  }
  let at = 0;
  for (let piece = 1; piece <= pieces; piece += 1) {
    const end = piece === pieces ? payload.length : at + Math.floor(random() * (payload.length - at));
    socket.send(payload.subarray(at, end), { binary: isBinary, compress, fin: piece === pieces });
    at = end;
  }
}

/** First the sizes at which something changes. */
function size(index) {
  const edges = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, LARGEST];
  if (index < edges.length) return edges[index];
  return Math.floor(LARGEST ** random());
}

/** Bytes below `most`, of which 128 are ASCII: noise, words, a single letter, or what was sent before. */
function payload(size, most) {
  const kind = random();
  if (kind < 0.25) return Buffer.alloc(size, "a");
  const payload = Buffer.alloc(size);
  const letters = kind < 0.5 ? most : 4;
  const period = kind < 0.75 ? size : 1 + Math.floor(random() * 40_000);
  for (let at = 0; at < size; at += 1) {
    payload[at] = at < period ? Math.floor(random() * letters) : payload[at - period];
  }
  return payload;
}

/** A generator of numbers in [0, 1) that a seed determines. */
function mulberry32(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
