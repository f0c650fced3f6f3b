/* The app of watched-app.js in Node.js. Its argument is the options as JSON; it prints a line of JSON for each step. */
"use strict";

const path = require("node:path");

const sdk = path.join(__dirname, "../../../sidecar/sdk");
const { loadZim } = require(path.join(sdk, "node/zim-environment.cjs"));
const { ZimTap } = require(path.join(sdk, "tap/zim-tap.js"));
require("./watched-app.js");

const { network, ...options } = JSON.parse(process.argv[2]);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
globalThis.watchedApp({ ZIM: loadZim({ address: network }), ZimTap, say, queue: false, ...options }).then(() => process.exit(0));
