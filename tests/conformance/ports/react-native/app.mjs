/*
 * An app with the React Native reporter. Arguments: scenario, endpoint, the queue's file, a Token04. The SDK is a fake with
 * the names and shapes of zego-zim-react-native; in the scenario "real" it is zego-zim-web, which has the same.
 */
import { once } from "node:events";
import { readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as rest } from "node:timers/promises";

import { watch } from "./zimwatch-reporter.mjs";

class ZIM {
  slots = new Map();
  on(type, handler) {
    this.slots.set(type, handler);
  }
  off(type) {
    this.slots.delete(type);
  }
  says(state, event, extendedData = "") {
    this.slots.get("connectionStateChanged")?.(this, { state, event, extendedData });
  }
  login() {
    this.says(2, 0, "{}");
    return Promise.resolve();
  }
  logout() {
    this.says(0, 0);
  }
  renewToken(token) {
    return Promise.resolve({ token });
  }
}

const [, , scenario, endpoint, file, token, node] = process.argv;
const writing = new Set();
let read = null; // the reporter counts what waited from before only once its storage is read
const storage = {
  getItem() {
    read = rest(scenario === "later" ? 50 : 0).then(() => readFile(file, "utf8").catch(() => null)); // slower than the app
    return read;
  },
  setItem(_key, value) {
    const written = writeFile(`${file}.new`, value).then(() => rename(`${file}.new`, file));
    writing.add(written);
    return written.finally(() => writing.delete(written));
  },
};

function realZim() {
  const require = createRequire(import.meta.url);
  return require(`${node}/zim-environment.cjs`).loadZim().create(1234567890);
}

const zim = scenario === "real" ? realZim() : new ZIM();
const reporter = watch(zim, {
  endpoint,
  appID: 1234567890,
  platform: "Android",
  storage,
  sdkVersion: "2.28.0",
  appVersion: "4.2",
  deviceId: "port",
  mostEvents: scenario === "bounded" ? 10 : 2000,
  heartbeatMs: ["heart", "silent", "kit", "consent"].includes(scenario) ? 30 : 15000,
  firstRetryMs: 20,
  ...(scenario === "proof" ? { assertion: async (userId) => `of ${userId}` } : {}),
  ...(scenario === "typo" ? { deviceID: "desk", token: "x" } : {}),
});

const handled = [];
const config = (secret) => ({ userName: "Carol's nickname", token: secret, isOfflineLogin: true, customStatus: "" });
const expired = new Promise((resolve) => {
  zim.on("connectionStateChanged", (_zim, data) => {
    handled.push(data);
    if (data.event === 5) resolve();
  });
});
zim.on("tokenWillExpire", (_zim, data) => handled.push(data));

if (scenario === "life") {
  await zim.login("carol", config(token));
  zim.slots.get("tokenWillExpire")(zim, { second: -5 });
  await zim.renewToken(token);
  zim.says(0, 4, '{"message":"断线 🙂 \ud800"}');
  await zim.login("carol", config("a secret"));
  zim.says(3, 3);
  zim.says(3, 3);
  zim.says(7, 9, "of a later version");
  reporter.apiError("queryUsersInfo", 6000121, "not logged in");
  zim.logout();
} else if (scenario === "proof") {
  for (const user of ["alice", "bob"]) {
    await zim.login(user, config(token));
    zim.logout();
  }
} else if (scenario === "heart") {
  await zim.login("carol", config(token));
  await once(process.stdin, "data"); // until the test has heard enough
  zim.logout();
} else if (scenario === "silent") {
  await zim.login("carol", config(token));
  zim.says(3, 3);
  reporter.logoutCalled();
  zim.says(3, 3);
  await once(process.stdin, "data"); // a heartbeat would have come long before
} else if (scenario === "kit") {
  zim.says(1, 1);
  zim.says(2, 0);
  reporter.loggedIn("carol");
  reporter.loggedIn("carol");
  await once(process.stdin, "data"); // until the test has heard enough
  reporter.logoutCalled();
} else if (scenario === "consent") {
  await zim.login("carol", config(token));
  reporter.stop();
  zim.says(3, 3);
  reporter.apiError("queryUsersInfo", 6000121, "not logged in");
  await once(process.stdin, "data"); // a heartbeat would have come long before
  zim.says(2, 0);
  reporter.start();
  zim.logout();
} else if (scenario === "hasty") {
  reporter.stop();
  reporter.start();
} else if (scenario === "bounded") {
  for (let count = 0; count < 50; count += 1) zim.says(3, 3);
} else if (scenario === "real") {
  const { token04 } = createRequire(import.meta.url)(`${node}/token04.cjs`);
  await zim.login("carol", config(token04(4)));
  await expired;
}
await Promise.all([read, rest(20)]);
for (let left = endpoint.endsWith(":9") ? 20 : 3000; left > 0 && reporter.waiting() > 0; left -= 1) await rest(10);
do await Promise.all(writing);
while (await rest(10, writing.size > 0)); // one write may follow another
const report = { empty: reporter.waiting() === 0, dropped: reporter.dropped() };
process.stdout.write(JSON.stringify(scenario === "real" ? { ...report, callbacks: handled } : { ...report, handled: handled.length }));
process.exit(0);
