/*
 * The app of app-log.js in Node.js; prints its log. Arguments: a ws address for every server, and to install the tap its
 * options as JSON and the name of a failure.
 */
"use strict";

const path = require("node:path");

const sdk = path.join(__dirname, "../../../sidecar/sdk");
const { loadZim } = require(path.join(sdk, "node/zim-environment.cjs"));
const { token04 } = require(path.join(sdk, "node/token04.cjs"));
require("./app-log.js");
const { faults } = require("./faults.js");

const [, , network, options, fault] = process.argv;

async function main() {
  const ZIM = loadZim({ address: network });
  let tap = null;
  if (options) {
    const { ZimTap } = require(path.join(sdk, "tap/zim-tap.js"));
    const given = JSON.parse(options);
    if (fault) faults[fault](given);
    tap = ZimTap.install(ZIM, given);
  }
  const watch = ({ unhandled, uncaught }) =>
    process.on("unhandledRejection", unhandled).on("uncaughtException", uncaught);
  const seen = await globalThis.appLog({ ZIM, token04, watch });
  if (tap && !fault) await tap.flush();
  if (tap) tap.uninstall();
  process.stdout.write(`${seen.join("\n")}\n`);
  process.exit(0);
}

main();
