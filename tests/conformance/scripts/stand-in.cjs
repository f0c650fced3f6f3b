/*
 * The tap on a stand-in for the SDK, for what the real one never does without a server: KICKED_OUT, a renewal that
 * succeeds, values of a later version. Arguments: the scenario, the server's address, and an ingest token.
 * Prints what the scenario gives, as JSON.
 */
"use strict";

const path = require("node:path");
const { ZimTap } = require(path.join(__dirname, "../../../sidecar/sdk/zim-tap.js"));

function makeZim() {
  return class ZIM {
    static create(appID) {
      if (ZIM.shared) return null;
      ZIM.shared = new ZIM();
      return ZIM.shared;
    }
    static getInstance() {
      return ZIM.shared ?? null;
    }
    static getVersion() {
      return "9.9.9";
    }
    slots = new Map();
    on(type, handler) {
      this.slots.set(type, handler);
    }
    off(type) {
      this.slots.delete(type);
    }
    emit(state, event, extendedData = "") {
      this.slots.get("connectionStateChanged")?.(this, { state, event, extendedData });
    }
    login() {
      this.emit(2, 0);
      return Promise.resolve();
    }
    logout() {
      this.emit(0, 0);
    }
    renewToken(token) {
      return Promise.resolve({ token });
    }
    destroy() {
      ZIM.shared = null;
    }
  };
}

function attempt(work) {
  try {
    work();
    return "no error";
  } catch (error) {
    return error.message;
  }
}

function surface(ZIM) {
  const all = [ZIM, ZIM.prototype].flatMap((target) => Object.entries(Object.getOwnPropertyDescriptors(target)));
  return all.map(([name, descriptor]) => [name, descriptor]);
}

function same(before, after) {
  return before.length === after.length && before.every(([name, one], index) => {
    const [otherName, other] = after[index];
    return name === otherName && Object.keys(one).every((key) => one[key] === other[key]);
  });
}

const [, , scenario, endpoint, ingestToken, queue] = process.argv;
const options = { endpoint, ingestToken, queue: queue ?? false };

const scenarios = {
  async refusals() {
    const ZIM = makeZim();
    const before = surface(ZIM);
    const wrong = [{}, { endpoint: "" }, { endpoint: "javascript:0" }, undefined];
    const said = wrong.map((given) => attempt(() => ZimTap.install(ZIM, given)));
    said.push(attempt(() => ZimTap.install({}, options)));
    const zim = ZIM.create(1);
    const handler = () => {};
    zim.on("connectionStateChanged", handler);
    const late = attempt(() => ZimTap.install(ZIM, options));
    const kept = zim.slots.get("connectionStateChanged") === handler && zim.slots.size === 1;
    ZIM.shared = null;
    const untouched = same(before, surface(ZIM).filter(([name]) => name !== "shared"));
    const tap = ZimTap.install(ZIM, options);
    const twice = attempt(() => ZimTap.install(ZIM, options));
    tap.uninstall();
    return { said, late, kept, untouched, twice };
  },

  async uninstall() {
    const ZIM = makeZim();
    const before = surface(ZIM);
    const tap = ZimTap.install(ZIM, options);
    const patched = !same(before, surface(ZIM));
    const zim = ZIM.create(1);
    const handler = () => {};
    zim.on("connectionStateChanged", handler);
    tap.uninstall();
    tap.uninstall();
    const restored = same(before, surface(ZIM).filter(([name]) => name !== "shared"));
    const slots = [...zim.slots].map(([type, one]) => [type, one === handler]);
    return { patched, restored, slots };
  },

  async life() {
    const ZIM = makeZim();
    const problems = [];
    const tap = ZimTap.install(ZIM, { ...options, onProblem: (text) => problems.push(text) });
    const zim = ZIM.create(1);
    zim.on("connectionStateChanged", () => {});
    await zim.login("carol", { token: "04AAAAAHHZKoAAEA==", userName: "Carol's nickname", isOfflineLogin: false });
    await zim.renewToken("04AAAAAHHZKoAAEA==");
    zim.emit(0, 4, '{"reason":1,"message":"\ud800 half a pair"}');
    await zim.login("carol", "a secret");
    zim.emit(3, 3);
    zim.emit(7, "later", "of a later version");
    zim.logout();
    let left = await tap.flush();
    while (left > 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = tap.status().queued;
    }
    return { left, problems, status: tap.status() };
  },

  async heart() {
    const ZIM = makeZim();
    const tap = ZimTap.install(ZIM, { ...options, heartbeatSeconds: 0.01 });
    const zim = ZIM.create(1);
    const rest = () => new Promise((resolve) => setTimeout(resolve, 100));
    await rest();
    zim.login("alice", "");
    for (let count = 0; count < 3; count += 1) {
      await tap.flush();
      await rest();
    }
    zim.logout();
    await tap.flush();
    await rest();
    return { left: await tap.flush() };
  },

  /* Records ten events, says so, and is killed. */
  async killed() {
    const ZIM = makeZim();
    ZimTap.install(ZIM, options);
    const zim = ZIM.create(1);
    zim.login("alice", "");
    for (let count = 0; count < 8; count += 1) zim.emit(3, 3);
    await new Promise((resolve) => setTimeout(resolve));
    process.kill(process.pid, "SIGKILL");
  },

  /* Sends what others have left. */
  async heir() {
    const tap = ZimTap.install(makeZim(), options);
    return { left: await tap.flush(), status: tap.status() };
  },

  /* What the SDK hands out is not always what its typings say. Gives what the app sees, with the tap and without. */
  async strange() {
    const loop = {};
    loop.self = loop;
    const thrower = { state: 2, event: 0, get extendedData() { throw new Error("a getter of the SDK's"); } };
    const all = [
      ...[undefined, null, 7, "text", {}, loop, thrower],
      ...[{ state: loop, event: 10n, extendedData: loop }, { state: Symbol("s"), event: NaN, extendedData: Symbol("x") }],
      ...[{ state: 2, event: { toString() { throw new Error("no"); } }, extendedData: "" }, Object.create(null)],
    ];
    const live = async (isTapped) => {
      const ZIM = makeZim();
      ZIM.prototype.sendMessage = (...given) => Promise.reject(given.length > 1 ? given[1] : { code: 6000121, message: "no" });
      const tap = isTapped ? ZimTap.install(ZIM, options) : null;
      const zim = ZIM.create(1);
      const seen = [];
      zim.on("connectionStateChanged", (...given) => {
        seen.push(given.length, given[1]);
        if (seen.length % 3 === 0) throw new Error("the app's own");
      });
      for (const data of all) {
        try {
          seen.push(zim.slots.get("connectionStateChanged")(zim, data));
        } catch (error) {
          seen.push(error.message);
        }
      }
      for (const error of all) await zim.sendMessage(loop, error).catch((caught) => seen.push(caught));
      await zim.sendMessage("hello").catch((caught) => seen.push(JSON.stringify(caught)));
      zim.off("connectionStateChanged");
      await zim.login(loop, thrower);
      const left = await tap?.flush();
      tap?.uninstall();
      return { seen, left };
    };
    const bare = await live(false);
    const tapped = await live(true);
    const isSame = (one, index) => Object.is(one, tapped.seen[index]);
    const same = bare.seen.length === tapped.seen.length && bare.seen.every(isSame);
    return { same, count: bare.seen.length, refused: all.length + 1 };
  },

  /* The clock is set back and forth. */
  async clock() {
    const ZIM = makeZim();
    const now = Date.now;
    const tap = ZimTap.install(ZIM, options);
    const zim = ZIM.create(1);
    let left = 0;
    for (const hours of [0, -30, 30, 0]) {
      Date.now = () => now() + hours * 3600_000;
      zim.emit(2, 0);
      left = await tap.flush();
    }
    Date.now = () => now() - 7000;
    zim.emit(2, 0);
    left += await tap.flush();
    return { left, status: tap.status() };
  },

  /* The SDK refuses a call, and says in its message what it was given. */
  async refused() {
    const ZIM = makeZim();
    ZIM.prototype.sendMessage = (message) => Promise.reject({ code: 6000121, message: message.told });
    const tap = ZimTap.install(ZIM, options);
    const zim = ZIM.create(1);
    zim.login("alice", "");
    for (const told of ["The user is not logged in.", "cannot send: the secret words"]) {
      await zim.sendMessage({ told, message: "the secret words" }).catch(() => {});
    }
    await zim.sendMessage({ get told() { return "not logged in"; }, message: "" }).catch(() => {});
    return { left: await tap.flush() };
  },

  async bounded() {
    const ZIM = makeZim();
    const limit = 6000;
    const problems = [];
    // The server is looked for once the queue is full.
    const target = endpoint;
    const fetch = globalThis.fetch;
    let isOpen = false;
    globalThis.fetch = (...given) => (isOpen ? fetch(...given) : Promise.reject(new Error("not yet")));
    const onProblem = (text) => problems.push(text);
    const tap = ZimTap.install(ZIM, { ...options, endpoint: target, queueBytes: limit, onProblem });
    const zim = ZIM.create(1);
    const repeats = [];
    let recorded = 0;
    const say = (...given) => {
      zim.emit(...given);
      recorded += 1;
    };
    for (let outage = 0; outage < 12; outage += 1) {
      say(2, 0);
      for (let retry = 0; retry < 4; retry += 1) {
        say(3, 3);
        if (retry > 0) repeats.push(recorded);
      }
      await null;
    }
    let left = await tap.flush();
    const full = tap.status();
    isOpen = true;
    if (target !== "http://127.0.0.1:9") while (left > 0) left = await tap.flush();
    return { left, full, recorded, repeats, limit, problems, status: tap.status() };
  },
};

// No call of process.exit: the tap keeps no process alive.
scenarios[scenario]().then((given) => process.stdout.write(JSON.stringify(given)));
