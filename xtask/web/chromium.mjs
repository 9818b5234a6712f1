// A headless Chromium, as the scripts beside this file need it.

import { X509Certificate, createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { chromium } from "playwright-core";

/** Starts the browser that the variable CHROMIUM names, with these arguments besides. */
export function launch(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    timeout: 20_000,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...args,
    ],
  });
}

/** The argument that admits one certificate which nobody vouches for: by the hash of its key. */
export function trust(certificate) {
  const { publicKey } = new X509Certificate(readFileSync(certificate));
  const hash = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  return `--ignore-certificate-errors-spki-list=${hash}`;
}
