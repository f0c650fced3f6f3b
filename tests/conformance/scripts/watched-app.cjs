/* The app of watched-app.js in Node.js. Its first argument is its options as JSON; it tells all on stdout, a line each. */
"use strict";

const path = require("node:path");

const sdk = path.join(__dirname, "../../../sidecar/sdk");
const { loadZim } = require(path.join(sdk, "node/zim-environment.cjs"));
const { ZimTap } = require(path.join(sdk, "zim-tap.js"));
require("./watched-app.js");

const { network, ...options } = JSON.parse(process.argv[2]);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
globalThis.watchedApp({ ZIM: loadZim({ address: network }), ZimTap, say, queue: false, ...options }).then(() => process.exit(0));
