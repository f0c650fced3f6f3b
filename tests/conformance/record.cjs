"use strict";
// The real SDK with the tap, and a listener of the test's own that writes each callback to stdout as a JSON line.
const { ZimTap } = require("../../sidecar/sdk/zim-tap.js");
const { token04 } = require("../../sidecar/sdk/node/token04.cjs");
const { loadZim } = require("../../sidecar/sdk/node/zim-environment.cjs");

const [endpoint, seconds] = process.argv.slice(2);
const TOKEN_EXPIRED = 5;
const ZIM = loadZim();
const tap = ZimTap.install(ZIM, { endpoint });
const zim = ZIM.create({ appID: 1 });
zim.on("connectionStateChanged", (_zim, { state, event, extendedData }) => {
  process.stdout.write(JSON.stringify([state, event, extendedData]) + "\n");
  if (event === TOKEN_EXPIRED) setTimeout(() => tap.flush().then(() => process.exit(0)), 500);
});
zim.login("dave", { userName: "", token: token04(Number(seconds)), isOfflineLogin: true }).catch(() => {});
