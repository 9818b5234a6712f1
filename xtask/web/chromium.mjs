// A headless Chromium, as the scripts beside this file need it.

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
