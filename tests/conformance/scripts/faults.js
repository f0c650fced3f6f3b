/*
 * Failures in the environment of the tap, by name. Each takes the options of the tap, and does not affect the SDK: what both
 * use fails for the tap alone. In a page and in Node.js.
 */
(function (root) {
  "use strict";

  function fail(name = "Error") {
    const error = new Error("broken by the test");
    error.name = name;
    throw error;
  }

  function forTap(target, method, isTaps, work) {
    const original = target[method];
    target[method] = function (...given) {
      return isTaps.apply(this, given) ? work.call(this, original, given) : original.apply(this, given);
    };
  }

  const storage = (work) => () => forTap(root.indexedDB, "open", (name) => name.startsWith("zimwatch-tap"), work);
  const rows = (work) => () =>
    forTap(root.IDBObjectStore.prototype, "add", function () {
      return this.transaction.db.name.startsWith("zimwatch-tap");
    }, work);
  const fetched = (work) => () => forTap(root, "fetch", (url) => String(url).includes("/v1/events"), work);

  const faults = {
    "fetch throws": fetched(() => fail("TypeError")),
    "fetch never answers": fetched(() => new Promise(() => {})),
    "fetch gives nonsense": fetched(() => Promise.resolve({ status: "200", headers: null })),
    "there is no fetch": () => delete root.fetch,
    "there is no crypto": () => Object.defineProperty(root, "crypto", { get: () => fail("ReferenceError") }),
    "there is no clock": () => Object.defineProperty(root, "performance", { get: () => fail("ReferenceError") }),
    "packing throws": () => (root.CompressionStream = function () {
      fail();
    }),
    "packing never ends": () => (root.CompressionStream = function () {
      return { writable: new WritableStream(), readable: new ReadableStream() };
    }),
    "packing gives garbage": () => (root.CompressionStream = function () {
      return new TransformStream();
    }),
    "the app's onProblem throws": (options) => (options.onProblem = () => fail()),
    "the folder is a file": (options) => (options.queue = process.execPath),
    "the file vanishes": (options) => {
      const fs = require("node:fs");
      forTap(fs, "appendFileSync", () => true, () => fail("ENOSPC"));
      forTap(fs, "writeFileSync", () => true, () => fail("ENOSPC"));
      options.queueBytes = 2000;
    },
    "storage is refused": storage(() => fail("SecurityError")),
    "storage never answers": storage(() => ({})),
    "storage is full": rows(() => fail("QuotaExceededError")),
    "storage takes it back": rows(function (original, given) {
      const request = original.apply(this, given);
      this.transaction.abort();
      return request;
    }),
    "locks are refused": () => (root.navigator.locks.request = () => Promise.reject(new Error("no"))),
    "locks throw": () => (root.navigator.locks.request = () => fail("SecurityError")),
  };

  root.faults = faults;
  if (typeof module === "object" && module.exports) module.exports = { faults };
})(globalThis);
