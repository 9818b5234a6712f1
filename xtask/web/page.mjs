// Drives the echo application's page in Chromium as a person would, and looks at what it shows.
//
// node page.mjs BASE_URL SCREENSHOT_DIR

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";

import { parameters, run } from "./checks.mjs";
import { launch } from "./chromium.mjs";

const [baseUrl, screenshots] = parameters("BASE_URL", "SCREENSHOT_DIR");
const { origin, host } = new URL(baseUrl);
const socketUrl = `${origin.replace(/^http/, "ws")}/ws`;

const URL_FIELD = "WebSocket server URL";
const MESSAGE_FIELD = "Message to send";
const TO_CONNECT = [URL_FIELD, "Connect"];
const TO_TALK = [MESSAGE_FIELD, "Send", "Close Socket"];
const READY = ["Ready to connect...", TO_CONNECT];
const CONNECTING = ["Connecting...", []];
const OPEN = ["Open", TO_TALK];
const CLOSING = ["Closing...", []];
const CLOSED = ["Closed", TO_CONNECT];

const OPENED_ROW = [`Connection opened: ${socketUrl}`];
const CLOSED_ROW = ["Connection closed: code 1000, no reason"];
const sent = (text) => ["Client", "Server", text];
const received = (text) => ["Server", "Client", text];

const browser = await launch();

/** What no page may do: errors, and requests that leave the origin. Filled by every page opened here. */
const misdeeds = [];
/** Where the checks below send a page on purpose. */
const visited = new Set([host]);

let page;
const field = (label) => page.getByLabel(label);
const button = (name) => page.getByRole("button", { name, exact: true });

await run(
  {
    "the page shows its parts in order, the state at the upper left": async () => {
      page = await openPage();
      assert.match(await page.title(), /WebSocket/);
      const parts = [
        page.getByRole("heading", { level: 1 }),
        page.getByRole("status"),
        field(URL_FIELD),
        field(MESSAGE_FIELD),
        page.getByRole("heading", { name: "Communication Log" }),
        page.getByRole("log"),
      ];
      const boxes = await Promise.all(parts.map((part) => part.boundingBox()));
      for (const [upper, lower] of boxes.slice(1).map((box, i) => [boxes[i], box])) {
        assert.ok(upper.y + upper.height <= lower.y, "each part is below the one before");
      }
      assert.equal(boxes[1].x, boxes[0].x, "the state is at the left, under the title");
      assert.deepEqual(await page.getByRole("columnheader").allTextContents(), ["From", "To", "Data"]);
      assert.equal(await field(URL_FIELD).inputValue(), socketUrl);
      for (const role of ["status", "log"]) {
        assert.equal(await page.getByRole(role).getAttribute("aria-live"), "polite");
      }
      assert.deepEqual(await snapshot(), READY);
      assert.deepEqual(await rows(), []);
    },

    "Enter in the URL field connects, through every state": async () => {
      await field(URL_FIELD).press("Enter");
      await reaches(OPEN);
      assert.deepEqual(await states(), [CONNECTING, OPEN]);
      assert.deepEqual(await rows(), [OPENED_ROW]);
    },

    "the keyboard goes on in the message field, Enter sends": async () => {
      await page.keyboard.type("Grüße, 世界 🚢");
      await page.keyboard.press("Enter");
      await logs(2);
      assert.deepEqual(await rows(), [sent("Grüße, 世界 🚢"), received("Grüße, 世界 🚢")]);
    },

    "HTML in a message stays text, the Send button sends": async () => {
      const markup = `<img src="x" onerror="throw 1"> &amp; <script>throw 2</script>`;
      await field(MESSAGE_FIELD).fill(markup);
      await button("Send").click();
      await logs(2);
      assert.deepEqual(await rows(), [sent(markup), received(markup)]);
      assert.equal(await page.getByRole("log").locator("img, script, b").count(), 0);
    },

    "binary data is shown as hex": async () => {
      await page.evaluate(() => pageSocket.send(new Uint8Array([0x00, 0x0a, 0x7f, 0x80, 0xff])));
      await logs(1);
      assert.deepEqual(await rows(), [received("00 0a 7f 80 ff")]);
    },

    "the newest row is in view, the message field too": async () => {
      for (let i = 0; i < 30; i++) await field(MESSAGE_FIELD).press("Enter");
      await logs(60);
      const log = await page.getByRole("log").boundingBox();
      const newest = await page.getByRole("row").last().boundingBox();
      assert.ok(newest.y >= log.y && newest.y + newest.height <= log.y + log.height + 1);
      assert.ok((await field(MESSAGE_FIELD).boundingBox()).y > 0);
      await rows();
    },

    "Tab reaches every control, and the focus is seen": async () => {
      await field(MESSAGE_FIELD).focus();
      for (const control of [field(MESSAGE_FIELD), button("Send"), button("Close Socket"), page.getByRole("log")]) {
        assert.ok(await control.evaluate((element) => element === document.activeElement), `${control} has the focus`);
        assert.equal(await control.evaluate((element) => getComputedStyle(element).outlineStyle), "solid");
        await page.keyboard.press("Tab");
      }
    },

    "Close Socket closes, through every state, with code and reason": async () => {
      await button("Close Socket").focus();
      await page.keyboard.press("Enter");
      await reaches(CLOSED);
      assert.deepEqual(await states(), [CLOSING, CLOSED]);
      assert.deepEqual(await rows(), [CLOSED_ROW]);
    },

    "after Closed one can connect again, with the focus where it is needed": async () => {
      assert.ok(await button("Connect").evaluate((element) => element === document.activeElement));
      await page.keyboard.press("Enter");
      await reaches(OPEN);
      await page.keyboard.type("again");
      await page.keyboard.press("Enter");
      await logs(3);
      await button("Close Socket").click();
      await reaches(CLOSED);
      assert.deepEqual(await states(), [CONNECTING, OPEN, CLOSING, CLOSED]);
      assert.deepEqual(await rows(), [OPENED_ROW, sent("again"), received("again"), CLOSED_ROW]);
    },

    "where nobody listens the connection ends in Closed with 1006": async () => {
      const address = `127.0.0.1:${await unusedPort()}`;
      visited.add(address);
      await field(URL_FIELD).fill(`ws://${address}/ws`);
      await button("Connect").click();
      await reaches(CLOSED);
      assert.deepEqual(await states(), [CONNECTING, CLOSED]);
      assert.deepEqual(await rows(), [["Connection closed: code 1006, no reason"]]);
      // The browser reports it on the console too, which is no fault of the page.
      const report = misdeeds.findIndex((misdeed) => misdeed.includes(address));
      assert.match(misdeeds.splice(report, 1)[0], /ERR_CONNECTION_REFUSED/);
    },

    "a bad URL gets a message and changes nothing else": async () => {
      for (const address of ["", "127.0.0.1:5000", "https://127.0.0.1/", "ws://", "ws://[::1", "wss://localhost:99999/ws"]) {
        await field(URL_FIELD).fill(address);
        await field(URL_FIELD).press("Enter");
        const [[message], ...others] = await rows();
        assert.ok(message.startsWith(`Cannot connect to “${address}”: `), message);
        assert.deepEqual(others, []);
        assert.deepEqual(await snapshot(), CLOSED);
      }
      assert.deepEqual(await states(), []);
    },

    "a close by the server shows its code and reason as text": async () => {
      const other = await openPage({
        // An echo server has no reason of its own to close, so this one is played by the browser's driver.
        prepare: (page) =>
          page.routeWebSocket(socketUrl, (server) => {
            server.onMessage(() => server.close({ code: 4001, reason: "<b>enough</b>" }));
          }),
      });
      await other.getByLabel(URL_FIELD).press("Enter");
      await reaches(OPEN, other);
      await other.getByLabel(MESSAGE_FIELD).fill("enough?");
      await other.getByLabel(MESSAGE_FIELD).press("Enter");
      await reaches(CLOSED, other);
      assert.deepEqual((await rows(other)).at(-1), ["Connection closed: code 4001, reason “<b>enough</b>”"]);
      await other.context().close();
    },

    "desktop and phone, light and dark: nothing overflows": async () => {
      const desktop = { viewport: { width: 1280, height: 800 } };
      const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
      await look("desktop-light", { ...desktop, colorScheme: "light" });
      await look("desktop-dark", { ...desktop, colorScheme: "dark" });
      await look("phone-light", { ...phone, colorScheme: "light" });
      await look("phone-dark", { ...phone, colorScheme: "dark" });
    },

    "no error, and no request left the origin": async () => assert.deepEqual(misdeeds, []),
  },
  { onFailure: () => page?.screenshot({ path: join(screenshots, "failure.png") }) },
);

/** A page in a context of its own, with its states recorded from the start and its misdeeds noted. */
async function openPage({ prepare = async () => {}, ...look } = {}) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => misdeeds.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) misdeeds.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== origin) misdeeds.push(`request: ${url}`);
  });
  page.on("websocket", (socket) => {
    if (!visited.has(new URL(socket.url()).host)) misdeeds.push(`socket: ${socket.url()}`);
  });
  await prepare(page);
  await page.addInitScript(instrument);
  const response = await page.goto(baseUrl);
  assert.equal(response.status(), 200);
  return page;
}

/** Runs in the page before its own script. */
function instrument() {
  window.WebSocket = class extends WebSocket {
    constructor(...parameters) {
      super(...parameters);
      window.pageSocket = this;
    }
  };
  window.snapshot = () => [
    document.querySelector("[role=status]").textContent,
    [...document.querySelectorAll("input, button")]
      .filter((control) => !control.matches(":disabled"))
      .map((control) => control.labels[0]?.textContent ?? control.textContent),
  ];
  // Some states last for an instant; an observer misses none of them.
  window.seen = [];
  addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => seen.push(snapshot())).observe(document.querySelector("[role=status]"), {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
}

/** The state's label and the controls that are enabled. */
function snapshot() {
  return page.evaluate(() => window.snapshot());
}

/** The snapshots at each change of state since this was last asked. */
function states() {
  return page.evaluate(() => seen.splice(0));
}

/** The cells of the log's rows since this was last asked. */
function rows(of = page) {
  return of.evaluate(() => {
    const rows = [...document.querySelectorAll("[role=log] tbody tr:not(.read)")];
    rows.forEach((row) => row.classList.add("read"));
    return rows.map((row) => [...row.cells].map((cell) => cell.textContent));
  });
}

/** Waits for so many rows that were not yet asked for. */
function logs(count) {
  return page.waitForFunction((count) => document.querySelectorAll("[role=log] tbody tr:not(.read)").length >= count, count);
}

async function reaches([label], of = page) {
  await of.getByRole("status").getByText(label, { exact: true }).waitFor();
}

/** Holds a short conversation in a window of this look and keeps a picture of it. */
async function look(name, options) {
  const page = await openPage(options);
  await page.getByLabel(URL_FIELD).press("Enter");
  await reaches(OPEN, page);
  const conversation = ["unbroken".repeat(15), "<b>plain</b> & simple", "Hello, world"];
  for (const [i, text] of conversation.entries()) {
    await page.getByLabel(MESSAGE_FIELD).fill(text);
    await page.getByLabel(MESSAGE_FIELD).press("Enter");
    await page.getByRole("cell", { name: text }).nth(1).waitFor();
    assert.equal((await page.getByRole("row").count()) - 2, 2 * (i + 1));
  }
  await page.evaluate(() => pageSocket.send(new Uint8Array(24).map((_, i) => i * 11)));
  await page.getByRole("cell", { name: "00 0b 16" }).waitFor();
  const overflow = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.querySelector("[role=log]");
    return [document.documentElement.scrollWidth - innerWidth, scrollWidth - clientWidth];
  });
  assert.deepEqual(overflow, [0, 0]);
  await page.screenshot({ path: join(screenshots, `${name}.png`) });
  await page.context().close();
}

async function unusedPort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
