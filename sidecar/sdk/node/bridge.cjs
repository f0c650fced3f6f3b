/*
 * Runs the real Web SDK for sidecar/sdk/client/bridge.py. Each line of stdin and stdout is one JSON object.
 *
 *   in   {"create": client, "appId": n}   {"destroy": client}
 *        {"client": client, "call": id, "method": name, "args": […]}
 *   out  {"ready": version}
 *        {"client": client, "callback": type, "data": {…}}
 *        {"client": client, "call": id, "result": value}   or   …, "error": {"code": n, "message": text}}
 *
 * Exits when stdin closes. Argument: a ws address to use in place of every server; none for the real servers.
 */
"use strict";

const readline = require("node:readline");
const { anotherZim, loadZim } = require("./zim-environment.cjs");

const CALLBACKS = ["connectionStateChanged", "tokenWillExpire", "error"];
// These would remove the bridge's own handlers, or the instance itself.
const OURS = new Set(["constructor", "on", "off", "destroy"]);
const NO_CODE = -1;

const ZIM = loadZim({ address: process.argv[2] ?? null });
const clients = new Map();
const failed = new Map(); // clients that could not be created, with the error

function send(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/* Rejections are {code, message}; synchronous errors have the same as JSON in their message. */
function failure(error) {
  let details = error;
  try {
    details = JSON.parse(error.message) ?? error;
  } catch {
    // not JSON
  }
  if (Number.isSafeInteger(details?.code)) return { code: details.code, message: String(details.message) };
  return { code: NO_CODE, message: String(error?.message ?? error) };
}

function create(client, appId) {
  const zim = anotherZim().create(appId);
  if (!zim) throw new Error(`ZIM.create returned no instance for AppID ${appId}`);
  zim.setLogConfig({ logLevel: "disable" });
  for (const callback of CALLBACKS) zim.on(callback, (_zim, data) => send({ client, callback, data }));
  clients.set(client, zim);
}

async function call({ client, call: id, method, args }) {
  try {
    if (failed.has(client)) throw failed.get(client);
    const zim = clients.get(client);
    if (!zim || OURS.has(method) || !Object.hasOwn(ZIM.prototype, method)) throw new Error(`ZIM has no method ${method}`);
    send({ client, call: id, result: (await zim[method](...args)) ?? null });
  } catch (error) {
    send({ client, call: id, error: failure(error) });
  }
}

function handle(line) {
  const message = JSON.parse(line);
  if (message.create !== undefined) {
    try {
      create(message.create, message.appId);
    } catch (error) {
      failed.set(message.create, error);
    }
  } else if (message.destroy !== undefined) {
    clients.get(message.destroy)?.destroy();
    clients.delete(message.destroy);
  } else {
    call(message);
  }
}

// An uncaught error of one SDK instance must not end the logins of the others.
process.on("uncaughtException", (error) => console.error("Error:", failure(error).message));
process.on("unhandledRejection", (error) => console.error("Error:", failure(error).message));
process.stdout.on("error", () => process.exit(0)); // the reader has gone
readline.createInterface({ input: process.stdin }).on("line", handle).on("close", () => process.exit(0));
send({ ready: ZIM.getVersion() });
