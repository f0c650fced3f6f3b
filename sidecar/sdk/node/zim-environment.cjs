/*
 * What makes the real Web SDK load in plain Node.js: the few browser objects that it touches. By default there is no
 * way out: every connection goes to a port of this machine where nothing listens, so that a run is the same with and
 * without a network, and no made-up login reaches a server.
 */
"use strict";

require("fake-indexeddb/auto"); // without it an offline login rejects
const WebSocket = require("ws");

const SDK = "zego-zim-web";
const NOWHERE = "ws://127.0.0.1:9/"; // the discard port

function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/* `address`: the ws address that stands for every server; null for the servers themselves. */
function prepare(address) {
  class QuietWebSocket extends WebSocket {
    constructor(url, protocols) {
      super(address ?? url, protocols);
      // `ws` emits an error even where the SDK has taken its handlers off, and that would end the process.
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

/* Loads the SDK once and gives its ZIM class. Its console goes to stderr, so that stdout is the caller's own. */
function loadZim({ address = NOWHERE } = {}) {
  prepare(address);
  return require(SDK).ZIM;
}

/* A copy of the SDK that knows of no other: it allows one instance for each copy. */
function anotherZim() {
  delete require.cache[require.resolve(SDK)];
  return require(SDK).ZIM;
}

module.exports = { anotherZim, loadZim };
