// Decides which windows may hold a stream. Over HTTP/1.1 all windows of a browser share six connections to a server;
// with six streams no page would load.
"use strict";
const MOST = 4, GONE_MS = 45000;
const seen = new Map(); // port of each visible window → its last report, oldest window first
onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data: visible }) => {
    const now = Date.now();
    if (visible) seen.set(port, now);
    else seen.delete(port);
    for (const [one, at] of seen) if (now - at > GONE_MS) seen.delete(one);
    [...seen.keys()].forEach((one, place) => one.postMessage(place < MOST));
  };
};
