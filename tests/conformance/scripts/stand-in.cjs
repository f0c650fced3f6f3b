/*
 * The tap on a fake SDK, for what the real one does only with a server: KICKED_OUT, a successful renewal, values of a
 * later version. Arguments: the scenario, the server's address, and an ingest token. Prints the scenario's result as
 * JSON.
 */
"use strict";

const path = require("node:path");
const { ZimTap } = require(path.join(__dirname, "../../../sidecar/sdk/tap/zim-tap.js"));

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
const warnings = [];
console.warn = (...given) => warnings.push(given.join(" "));
const options = { endpoint, ingestToken, queue: queue ?? false };

const scenarios = {
  async refusals() {
    const ZIM = makeZim();
    const before = surface(ZIM);
    const wrong = [{}, { endpoint: "" }, { endpoint: "javascript:0" }, undefined];
    const errors = wrong.map((given) => attempt(() => ZimTap.install(ZIM, given)));
    errors.push(attempt(() => ZimTap.install({}, options)));
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
    return { errors, late, kept, untouched, twice };
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
    return { left, problems, warnings, status: tap.status() };
  },

  /* Two users, one after the other; the backend of the app fails once, and vouches for alice and bob alone. */
  async proof() {
    const ZIM = makeZim();
    const wanted = [];
    const problems = [];
    const assertion = async (userId) => {
      wanted.push(userId);
      if (wanted.length === 1) throw new Error("the backend is away");
      return userId === "carol" ? null : `of ${userId}`;
    };
    const tap = ZimTap.install(ZIM, { ...options, assertion, onProblem: (text) => problems.push(text) });
    const zim = ZIM.create(1);
    zim.emit(1, 0);
    for (const user of ["alice", "bob", "carol"]) {
      await zim.login(user, "");
      zim.logout();
    }
    let left = await tap.flush();
    while (left > 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = tap.status().queued;
    }
    return { wanted, problems, warnings, status: tap.status() };
  },

  /* A page that is left before there is an assertion, and after one was made; its beacons. */
  async leaving() {
    const listeners = {};
    const beacons = [];
    globalThis.addEventListener = (type, listener) => (listeners[type] = listener);
    Object.defineProperty(globalThis, "navigator", {
      value: { sendBeacon: (_url, body) => beacons.push(JSON.parse(body)) },
    });
    const ZIM = makeZim();
    const tap = ZimTap.install(ZIM, { ...options, assertion: (userId) => `of ${userId}` });
    const zim = ZIM.create(1);
    await zim.login("alice", "");
    listeners.pagehide({});
    const before = beacons.length;
    await tap.flush();
    zim.emit(3, 3);
    listeners.pagehide({});
    const [[first, ...events]] = beacons;
    await tap.flush();
    return { before, first, types: events.map((event) => event.type), left: tap.status().queued };
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

  /* How long the tap waits for each heartbeat, in seconds: first by its option, then by each answer. */
  async paced() {
    const waits = [];
    const { setTimeout: original } = globalThis;
    globalThis.setTimeout = (work, ms) => {
      if (ms > 11000) waits.push(ms / 1000); // no pause or time-out of the sender
      return original(work, ms);
    };
    const ZIM = makeZim();
    const tap = ZimTap.install(ZIM, { ...options, heartbeatSeconds: 3600 });
    const zim = ZIM.create(1);
    zim.login("alice", "");
    for (let count = 0; count < 5; count += 1) {
      await tap.flush();
      await zim.renewToken("next");
    }
    return { left: await tap.flush(), waits };
  },

  /* A page that is frozen before the server sets the interval of heartbeats; its token is renewed, and it is resumed. */
  async frozen() {
    globalThis.document = new EventTarget();
    const ZIM = makeZim();
    const tap = ZimTap.install(ZIM, { ...options, heartbeatSeconds: 3600 });
    const rest = async () => {
      await tap.flush(); // the answer sets one second
      await new Promise((resolve) => setTimeout(resolve, 1300));
    };
    const zim = ZIM.create(1);
    zim.login("alice", "");
    document.dispatchEvent(new Event("freeze"));
    await rest();
    await zim.renewToken("next");
    document.dispatchEvent(new Event("resume"));
    await rest();
    return { left: await tap.flush() };
  },

  /* A logout without a callback, as natively while reconnecting. Returns the steps. */
  async silent() {
    const ZIM = makeZim();
    const steps = [];
    ZIM.prototype.logout = () => {};
    const tap = ZimTap.install(ZIM, { ...options, heartbeatSeconds: 0.01 });
    const zim = ZIM.create(1);
    const step = async (name, work) => {
      work();
      await new Promise((resolve) => setTimeout(resolve, 100));
      await tap.flush();
      steps.push(name);
    };
    await step("in", () => zim.login("alice", ""));
    await step("lost", () => zim.emit(3, 3));
    await step("out", () => zim.logout());
    await step("late", () => zim.emit(3, 3));
    await step("back", () => zim.emit(2, 0));
    await step("out", () => zim.logout());
    await step("in", () => zim.login("alice", ""));
    return { steps, left: await tap.flush() };
  },

  /* A user without consent, and one who withdraws it while events are queued. */
  async consent() {
    const Unasked = makeZim();
    const before = surface(Unasked);
    const idle = ZimTap.install(Unasked, { ...options, enabled: false });
    const untouched = same(before, surface(Unasked));
    await Unasked.create(1).login("mallory", "");
    const nothing = [await idle.flush(), idle.status().queued];
    idle.uninstall();
    await idle.stop();

    const ZIM = makeZim();
    const tap = ZimTap.install(ZIM, { ...options, enabled: true });
    const zim = ZIM.create(1);
    const handler = () => {};
    zim.on("connectionStateChanged", handler);
    await zim.login("alice", "");
    await tap.flush();
    zim.emit(3, 3);
    await tap.stop();
    zim.emit(2, 0);
    const left = await tap.flush();
    const status = tap.status();
    return { untouched, nothing, left, status, kept: zim.slots.get("connectionStateChanged") === handler, warnings };
  },

  /* Misspelt options, for two classes. */
  async typo() {
    for (let count = 0; count < 2; count += 1) {
      ZimTap.install(makeZim(), { ...options, deviceID: "desk", ingesttoken: "x" }).uninstall();
    }
    ZimTap.install(makeZim(), { ...options, deviceId: "desk", onProblem: undefined }).uninstall();
    return warnings;
  },

  /* The clock is stopped at a moment, in ms. */
  async old() {
    const ZIM = makeZim();
    const real = Date.now;
    const shift = Number(queue) - real();
    globalThis.Date = class extends Date {
      constructor(...given) {
        super(...(given.length ? given : [real() + shift]));
      }
      static now() {
        return real() + shift;
      }
    };
    const tap = ZimTap.install(ZIM, { ...options, queue: false });
    const zim = ZIM.create(1);
    zim.login("alice", "");
    return { left: await tap.flush(), status: tap.status(), warnings };
  },

  /* Records ten events, reports it, and is killed. */
  async killed() {
    const ZIM = makeZim();
    ZimTap.install(ZIM, options);
    const zim = ZIM.create(1);
    zim.login("alice", "");
    for (let count = 0; count < 8; count += 1) zim.emit(3, 3);
    await new Promise((resolve) => setTimeout(resolve));
    process.kill(process.pid, "SIGKILL");
  },

  /* Sends the events that other processes left. */
  async heir() {
    const tap = ZimTap.install(makeZim(), options);
    return { left: await tap.flush(), status: tap.status() };
  },

  /* The SDK's data may differ from its typings. Returns what the app sees with the tap and without. */
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

  /* The clock is set forward and back. */
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

  /* The SDK rejects a call with a message that contains an argument. */
  async refused() {
    const ZIM = makeZim();
    ZIM.prototype.sendMessage = (message) => Promise.reject({ code: 6000121, message: message.reason });
    const tap = ZimTap.install(ZIM, options);
    const zim = ZIM.create(1);
    zim.login("alice", "");
    for (const reason of ["The user is not logged in.", "cannot send: the secret words"]) {
      await zim.sendMessage({ reason, message: "the secret words" }).catch(() => {});
    }
    await zim.sendMessage({ get reason() { return "not logged in"; }, message: "" }).catch(() => {});
    return { left: await tap.flush() };
  },

  async bounded() {
    const ZIM = makeZim();
    const limit = 6000;
    const problems = [];
    // The server becomes reachable once the queue is full.
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

// No process.exit: the tap does not keep the process alive.
scenarios[scenario]().then((given) => process.stdout.write(JSON.stringify(given)));
