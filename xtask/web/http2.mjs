// WebSockets over cleartext HTTP/2 with prior knowledge (RFC 8441), by Node's HTTP/2 client and frames coded by hand.
//
// node http2.mjs BASE_URL

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { Duplex } from "node:stream";

import { parameters, run } from "./checks.mjs";

const [baseUrl] = parameters("BASE_URL");
const { hostname, port, host } = new URL(baseUrl);

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

let session, wire;

const checks = {
  "the server's SETTINGS enable extended CONNECT": async () => {
    ({ session, wire } = await connect());
    assert.equal(session.remoteSettings.enableConnectProtocol, true);
  },

  "a socket from its handshake to END_STREAM: text, ping, 100 kB, close": async () => {
    const socket = await open();

    socket.send(TEXT, "Grüße über HTTP/2");
    assert.deepEqual(await socket.receive(), { opcode: TEXT, payload: Buffer.from("Grüße über HTTP/2") });

    socket.send(PING, "are you there?");
    assert.deepEqual(await socket.receive(), { opcode: PONG, payload: Buffer.from("are you there?") });

    const large = randomBytes(100_000);
    socket.send(BINARY, large);
    const { opcode, payload } = await socket.receive();
    assert.equal(opcode, BINARY);
    assert.ok(payload.equals(large), "100 kB came back as they went");

    await closes(socket);
  },

  "sub-protocols may be offered; an echo needs none": async () => {
    const socket = await open({ "sec-websocket-protocol": "chat, superchat" });
    const chosen = socket.headers["sec-websocket-protocol"];
    assert.ok([undefined, "chat", "superchat"].includes(chosen), `not among the offered: ${chosen}`);
    await closes(socket);
  },

  ":protocol is compared without case": async () => {
    await closes(await open({ ":protocol": "WebSocket" }));
  },

  "version 12 is answered with 400 and the version that is spoken": async () => {
    const stream = request({ "sec-websocket-version": "12" });
    const [headers] = await once(stream, "response");
    assert.equal(headers[":status"], 400);
    assert.equal(headers["sec-websocket-version"], "13");
    assertNoHopByHop(headers);
    stream.close();
  },

  "the session is none the worse for it": async () => {
    const socket = await open();
    socket.send(TEXT, "still here");
    assert.equal((await socket.receive()).payload.toString(), "still here");
    await closes(socket);
  },

  "CONNECT without :protocol opens no socket": async () => {
    // In a session of its own, since a server may end the session over it.
    const { session } = await connect();
    const stream = session.request({ ":method": "CONNECT", ":authority": host });
    const status = await Promise.race([
      once(stream, "response").then(([headers]) => headers[":status"]),
      once(stream, "error").then(([error]) => error.code),
      once(stream, "close").then(() => "closed"),
    ]);
    assert.notEqual(status, 200);
    session.destroy();
  },
};

/** An HTTP/2 session past the server's SETTINGS, and what Node does not tell of it: the frames on the wire. */
async function connect() {
  const tcp = connectTcp(port, hostname.replace(/^\[|\]$/g, ""));
  await once(tcp, "connect");
  const wire = new Wire();
  const tapped = new Duplex({
    read: () => tcp.resume(),
    write: (chunk, _encoding, done) => tcp.write(chunk, done),
    final: (done) => tcp.end(done),
    destroy: (error, done) => done(tcp.destroy(error) && error),
  });
  tcp.on("data", (chunk) => {
    wire.push(chunk);
    if (!tapped.push(chunk)) tcp.pause();
  });
  tcp.on("end", () => tapped.push(null));
  tcp.on("error", (error) => tapped.destroy(error));
  const session = connectHttp2(baseUrl, { createConnection: () => tapped });
  await once(session, "remoteSettings");
  session.on("error", () => {}); // whoever waits for a stream hears of it there
  return { session, wire };
}

function request(headers) {
  return session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":authority": host,
    ":path": "/ws",
    "sec-websocket-version": "13",
    ...headers,
  });
}

async function open(extraHeaders) {
  const stream = request(extraHeaders);
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 200);
  assertNoHopByHop(headers);
  return new Socket(stream, headers);
}

/** HTTP/2 forbids them (RFC 9113, 8.2.2). */
function assertNoHopByHop(headers) {
  assert.ok(!("connection" in headers) && !("upgrade" in headers), "no Connection, no Upgrade");
}

/** The closing handshake, and then the end of the stream in order: both sides END_STREAM, nobody RST_STREAM. */
async function closes(socket) {
  const body = Buffer.concat([Buffer.from([1000 >> 8, 1000 & 0xff]), Buffer.from("done")]);
  socket.send(CLOSE, body);
  const { opcode, payload } = await socket.receive();
  assert.equal(opcode, CLOSE);
  assert.equal(payload.readUInt16BE(), 1000);
  assert.equal(await socket.receive(), undefined, "nothing comes after the Close");

  const { stream, id } = socket;
  stream.end();
  if (!stream.destroyed) await once(stream, "close");
  // A ping there and back: what the server had to say about the stream has come by then.
  await new Promise((done) => session.ping(done));
  assert.ok(wire.ended(id), "END_STREAM");
  assert.ok(!wire.wasReset(id), "no RST_STREAM");
}

/** A client's end of a WebSocket over one HTTP/2 stream. */
class Socket {
  #chunks;
  #buffer = Buffer.alloc(0);

  constructor(stream, headers) {
    this.stream = stream;
    this.id = stream.id; // which a stream forgets when it is closed
    this.headers = headers;
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Sends one final frame, masked as a client has to (RFC 6455, 5.3). */
  send(opcode, data) {
    const payload = Buffer.from(data);
    const mask = randomBytes(4);
    this.stream.write(Buffer.concat([head(opcode, payload.length), mask, payload.map((byte, i) => byte ^ mask[i % 4])]));
  }

  /** The next frame, or `undefined` when the stream has ended. */
  async receive() {
    for (;;) {
      const frame = this.#takeFrame();
      if (frame) return frame;
      const { value: chunk, done } = await this.#chunks.next();
      if (done) {
        assert.equal(this.#buffer.length, 0, "the stream ended within a frame");
        return undefined;
      }
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
    }
  }

  #takeFrame() {
    const buffer = this.#buffer;
    if (buffer.length < 2) return undefined;
    assert.equal(buffer[0] & 0xf0, 0x80, "final, no reserved bit");
    assert.equal(buffer[1] & 0x80, 0, "a server does not mask");
    const short = buffer[1];
    const start = { 126: 4, 127: 10 }[short] ?? 2;
    if (buffer.length < start) return undefined;
    const length = { 126: () => buffer.readUInt16BE(2), 127: () => Number(buffer.readBigUInt64BE(2)) }[short]?.() ?? short;
    if (buffer.length < start + length) return undefined;
    this.#buffer = buffer.subarray(start + length);
    return { opcode: buffer[0] & 0x0f, payload: buffer.subarray(start, start + length) };
  }
}

/** A masked frame's first bytes, up to its mask. */
function head(opcode, length) {
  const head = Buffer.alloc(length < 126 ? 2 : length < 0x10000 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | { 2: length, 4: 126, 10: 127 }[head.length];
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** Reads the headers of the HTTP/2 frames that the server sends, and remembers how its streams ended. */
class Wire {
  #pending = Buffer.alloc(0);
  #ended = new Set();
  #reset = new Set();

  push(chunk) {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 9) {
      const frameLength = 9 + this.#pending.readUIntBE(0, 3);
      if (this.#pending.length < frameLength) return;
      const [type, flags] = this.#pending.subarray(3);
      const stream = this.#pending.readUInt32BE(5);
      const DATA = 0, HEADERS = 1, RST_STREAM = 3, END_STREAM = 1;
      if ((type === DATA || type === HEADERS) && flags & END_STREAM) this.#ended.add(stream);
      if (type === RST_STREAM) this.#reset.add(stream);
      this.#pending = this.#pending.subarray(frameLength);
    }
  }

  ended(stream) {
    return this.#ended.has(stream);
  }

  wasReset(stream) {
    return this.#reset.has(stream);
  }
}

await run(checks);
