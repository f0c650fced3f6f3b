/*
 * Makes a Token04 that the SDK reads as well formed and no server accepts: "04" + base64( int64 big-endian expiry in
 * Unix seconds, int16 length, IV, int16 length, cipher ). The cipher is random, so there is no secret in it.
 */
"use strict";

const { randomBytes } = require("node:crypto");

const IV_BYTES = 16;
const CIPHER_BYTES = 128;

function token04(seconds, nowMs = Date.now()) {
  const expiry = Buffer.alloc(8);
  expiry.writeBigInt64BE(BigInt(Math.floor(nowMs / 1000) + seconds));
  return "04" + Buffer.concat([expiry, counted(IV_BYTES), counted(CIPHER_BYTES)]).toString("base64");
}

function counted(bytes) {
  const length = Buffer.alloc(2);
  length.writeInt16BE(bytes);
  return Buffer.concat([length, randomBytes(bytes)]);
}

module.exports = { token04 };
