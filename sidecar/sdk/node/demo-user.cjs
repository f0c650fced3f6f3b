/*
 * One real client: the Web SDK with the tap on it, logged in offline with a made-up token. It goes online, loses the
 * network that it never had, runs into the end of its token, and logs in anew.
 *
 *   node demo-user.cjs --endpoint URL --app-id N --user-id ID --token-seconds N [--once]
 *
 * Ends on SIGTERM or when its stdin closes; with --once after the token's end. The SDK's log goes to stderr.
 */
"use strict";

const { parseArgs } = require("node:util");
const { ZimTap } = require("../zim-tap.js");
const { token04 } = require("./token04.cjs");
const { loadZim } = require("./zim-environment.cjs");

const TOKEN_EXPIRED = 5;
const AWAY_MS = 4000;
const LAST_WORDS_MS = 1000;

const { values } = parseArgs({
  options: {
    endpoint: { type: "string" },
    "app-id": { type: "string" },
    "user-id": { type: "string" },
    "token-seconds": { type: "string", default: "60" },
    once: { type: "boolean", default: false },
  },
});
for (const name of ["endpoint", "app-id", "user-id"]) {
  if (!values[name]) {
    process.stderr.write(`demo-user: --${name} is missing\n`);
    process.exit(2);
  }
}

const ZIM = loadZim();
const tap = ZimTap.install(ZIM, {
  endpoint: values.endpoint,
  appVersion: "demo",
  deviceId: "node-js",
  queue: false, // the server is thrown away too
  onProblem: (text) => process.stderr.write(`tap: ${text}\n`),
});
const zim = ZIM.create(Number(values["app-id"]));
zim.setLogConfig({ logLevel: "disable" });

function logIn() {
  const token = token04(Number(values["token-seconds"]));
  const config = { userName: "", token, isOfflineLogin: true, customStatus: "", customStatusDuration: 0 };
  zim.login(values["user-id"], config).catch((error) => process.stderr.write(`login: ${JSON.stringify(error)}\n`));
}

async function end() {
  await Promise.race([tap.flush(), new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
  process.exit(0);
}

zim.on("connectionStateChanged", (_zim, { event }) => {
  if (event !== TOKEN_EXPIRED) return;
  if (values.once) end();
  else setTimeout(logIn, AWAY_MS);
});
process.on("SIGTERM", end);
process.on("SIGINT", end);
process.stdin.on("end", end).on("error", end).resume();
logIn();
