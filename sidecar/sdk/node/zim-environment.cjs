/*
 * The browser objects that the real Web SDK needs in plain Node.js. By default every connection leads to a port of this
 * machine where nothing listens, so that a run is the same with and without a network, and no fake login reaches a
 * server.
 */
"use strict";

require("fake-indexeddb/auto"); // without it an offline login is rejected
const WebSocket = require("ws");

const SDK = "zego-zim-web";
const NOWHERE = "ws://127.0.0.1:9/"; // the discard port

function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/* `address`: a ws address to use in place of every server; null for the real servers. */
function prepare(address) {
  class QuietWebSocket extends WebSocket {
    constructor(url, protocols) {
      super(address ?? url, protocols);
      // `ws` emits an error even after the SDK removed its handlers, which would end the process.
      this.on("error", () => {});
    }
  }
  const target = new EventTarget();
  const events = {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  };
  define("console", new console.Console(process.stderr, process.stderr));
  define("location", { origin: "http://127.0.0.1" });
  define("navigator", { userAgent: `Node.js ${process.versions.node}` });
  define("document", { ...events, visibilityState: "visible" });
  define("window", { ...events, crypto: globalThis.crypto });
  define("WebSocket", QuietWebSocket);
}

/* Loads the SDK and returns its ZIM class. The console writes to stderr, and leaves stdout to the caller. */
function loadZim({ address = NOWHERE } = {}) {
  prepare(address);
  return require(SDK).ZIM;
}

/* A separate copy of the SDK, which allows one instance per copy. */
function anotherZim() {
  delete require.cache[require.resolve(SDK)];
  return require(SDK).ZIM;
}

module.exports = { anotherZim, loadZim };
