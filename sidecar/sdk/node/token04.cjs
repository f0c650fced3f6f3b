/*
 * Creates a fake Token04, well formed for the SDK, that no server accepts: "04" + base64( int64 big-endian expiry in
 * Unix seconds, int16 length, IV, int16 length, cipher ). The cipher is random, so it contains no secret.
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
