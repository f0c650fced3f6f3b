/*
 * Runs the real Web SDK for sidecar/sdk/bridge.py. One JSON object a line, both ways; stdout has nothing else on it.
 *
 *   in   {"create": client, "appId": n}   {"destroy": client}
 *        {"client": client, "call": id, "method": name, "args": […]}
 *   out  {"ready": version}
 *        {"client": client, "callback": type, "data": {…}}
 *        {"client": client, "call": id, "result": value}   or   …, "error": {"code": n, "message": text}}
 *
 * Ends when its stdin does. Argument: the ws address that stands for every server; none for the servers themselves.
 */
"use strict";

const readline = require("node:readline");
const { anotherZim, loadZim } = require("./zim-environment.cjs");

const CALLBACKS = ["connectionStateChanged", "tokenWillExpire", "error"];
// These would take the bridge's own handlers away, or the instance from under it.
const OURS = new Set(["constructor", "on", "off", "destroy"]);
const NO_CODE = -1;

const ZIM = loadZim({ address: process.argv[2] ?? null });
const clients = new Map();
const failed = new Map(); // clients that could not be made, and why

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/* Rejections are {code, message}; what the SDK throws at once is an Error with the same as JSON in its message. */
function failure(error) {
  let told = error;
  try {
    told = JSON.parse(error.message) ?? error;
  } catch {
    // it is no JSON
  }
  if (Number.isSafeInteger(told?.code)) return { code: told.code, message: String(told.message) };
  return { code: NO_CODE, message: String(error?.message ?? error) };
}

function create(client, appId) {
  const zim = anotherZim().create(appId);
  if (!zim) throw new Error(`ZIM.create gave no instance for AppID ${appId}`);
  zim.setLogConfig({ logLevel: "disable" });
  for (const callback of CALLBACKS) zim.on(callback, (_zim, data) => say({ client, callback, data }));
  clients.set(client, zim);
}

async function call({ client, call: id, method, args }) {
  try {
    if (failed.has(client)) throw failed.get(client);
    const zim = clients.get(client);
    if (!zim || OURS.has(method) || !Object.hasOwn(ZIM.prototype, method)) throw new Error(`ZIM has no method ${method}`);
    say({ client, call: id, result: (await zim[method](...args)) ?? null });
  } catch (error) {
    say({ client, call: id, error: failure(error) });
  }
}

function take(line) {
  const order = JSON.parse(line);
  if (order.create !== undefined) {
    try {
      create(order.create, order.appId);
    } catch (error) {
      failed.set(order.create, error);
    }
  } else if (order.destroy !== undefined) {
    clients.get(order.destroy)?.destroy();
    clients.delete(order.destroy);
  } else {
    call(order);
  }
}

// An error that the SDK lets slip must not end the logins beside it.
process.on("uncaughtException", (error) => console.error("Error:", failure(error).message));
process.on("unhandledRejection", (error) => console.error("Error:", failure(error).message));
process.stdout.on("error", () => process.exit(0)); // nobody listens any more
readline.createInterface({ input: process.stdin }).on("line", take).on("close", () => process.exit(0));
say({ ready: ZIM.getVersion() });
