/*
 * The Web tap: reports what the ZIM Web SDK says about its connection to a Zimwatch server, and changes nothing for the
 * app. No dependencies. One file serves every kind of page:
 *
 *   <script src="https://zimwatch.example.com/tap/zim-tap.js"></script>   the global ZimTap
 *   import "https://zimwatch.example.com/tap/zim-tap.js";                 the same global: a file that a plain script
 *                                                                         can load cannot have an `export`
 *   const { ZimTap } = require("./zim-tap.js");                           Node.js and bundlers
 *
 *   const tap = ZimTap.install(ZIM, { endpoint: "https://zimwatch.example.com" });   // before ZIM.create()
 *
 * What holds, whatever happens:
 * - the SDK keeps one handler for each event and has no getter, so the tap sits in the SDK's place and passes every
 *   callback on to the app's handler, with the same `this`, arguments, return value and throw;
 * - it records before the app's handler runs, since that may change the data, and before a call is made, since some
 *   callbacks come synchronously inside the call;
 * - `login` and `renewToken` return a promise derived from the SDK's, because a promise that is observed in any other
 *   way counts as handled, and an unhandled rejection of the app's would go unseen. It settles one microtask later;
 * - an error in the tap never reaches the app;
 * - of a token only the expiry is read; tokens, messages and names are never sent.
 */
(function (root) {
  "use strict";

  const PATH = "/v1/events";
  const PLATFORM = "Web";
  const SDK = "zego-zim-web";
  const CALLBACKS = ["connectionStateChanged", "tokenWillExpire"];
  const METHODS = ["on", "off", "login", "logout", "renewToken", "destroy"];
  const DISCONNECTED = 0;
  const CONNECTED = 2;
  const RECONNECTING = 3;

  const BATCH_EVENTS = 100;
  const GATHER_MS = 50; // a call and the callbacks inside it travel together
  const BETWEEN_SENDS_MS = 1000;
  const ANSWER_MS = 10000;
  const FIRST_RETRY_MS = 1000;
  const LAST_RETRY_MS = 30000;
  const REFUSED_RETRY_MS = 300000; // a token that is refused is seldom accepted a moment later
  const LEAVING_BYTES = 60000; // browsers let a page that goes send 64 KiB
  const LONGEST_TEXT = 65536; // the server's limit for one string
  const MARK = Symbol.for("zimwatch.tap");

  function quietly(work) {
    try {
      return work();
    } catch {
      return undefined;
    }
  }

  /* UUID version 7, RFC 9562: milliseconds first, so that ids sort by time. */
  function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const now = Date.now();
    for (let index = 0; index < 6; index += 1) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) % 256;
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  /* A string that can be sent: half a surrogate pair is not UTF-8, and would cost the whole event. */
  function text(value) {
    if (value === null || value === undefined) return null;
    return String(value).slice(0, LONGEST_TEXT).replace(/[\uD800-\uDFFF]/gu, "\uFFFD");
  }

  /* A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear. */
  function expiryOf(token) {
    return quietly(() => {
      if (!token.startsWith("04")) return null;
      const bytes = Uint8Array.from(atob(token.slice(2, 14)), (char) => char.charCodeAt(0));
      const seconds = Number(new DataView(bytes.buffer).getBigInt64(0));
      const year = new Date(seconds * 1000).getUTCFullYear();
      return year >= 2000 && year < 2200 ? new Date(seconds * 1000).toISOString() : null;
    }) ?? null;
  }

  function unref(timer) {
    if (timer && typeof timer.unref === "function") timer.unref(); // Node.js: the tap keeps no process alive
    return timer;
  }

  /*
   * Sends events in order, each until the server has answered for it. What waits is in memory and bounded: past
   * `mostEvents` the oldest goes. An event may be sent twice; its id makes that harmless.
   */
  function createSender({ url, ingestToken, fetch, mostEvents, report }) {
    const queue = [];
    let pushed = 0;
    let removed = 0;
    let dropped = 0;
    let inFlight = 0;
    let sending = null;
    let timer = null;
    let failures = 0;
    let batchEvents = BATCH_EVENTS;
    let lastSentAt = 0;
    let retryAt = 0;
    let heldUntil = 0; // the server's own Retry-After
    let problem = null;

    function remove(from, count) {
      queue.splice(from, count);
      removed += count;
    }

    function drop(from) {
      remove(from, 1);
      dropped += 1;
    }

    function push(event) {
      if (queue.length >= mostEvents && queue.length > inFlight) drop(inFlight);
      queue.push(event);
      pushed += 1;
      schedule();
    }

    function schedule() {
      if (timer !== null || sending !== null || queue.length === 0) return;
      const now = Date.now();
      const wait = Math.max(GATHER_MS, lastSentAt + BETWEEN_SENDS_MS - now, retryAt - now, heldUntil - now);
      // A clock that was set back must not hold events up.
      timer = unref(setTimeout(send, Math.min(wait, REFUSED_RETRY_MS)));
    }

    /* One attempt; gives whether the server answered for the batch. Never rejects. */
    function send() {
      clearTimeout(timer);
      timer = null;
      if (sending !== null) return sending;
      const batch = queue.slice(0, batchEvents);
      inFlight = batch.length;
      lastSentAt = Date.now();
      sending = post(batch)
        .then(settle, (error) => retry(`the server was not reached (${error && error.message})`, LAST_RETRY_MS))
        .then((done) => {
          inFlight = 0;
          sending = null;
          schedule();
          return done;
        });
      return sending;
    }

    async function post(batch) {
      const abort = new AbortController();
      const limit = unref(setTimeout(() => abort.abort(), ANSWER_MS));
      try {
        const response = await fetch(url, { ...request(batch), signal: abort.signal });
        const answer = await response.json().catch(() => null);
        return { response, answer };
      } finally {
        clearTimeout(limit);
      }
    }

    function request(batch) {
      const headers = { "Content-Type": "application/json" };
      if (ingestToken) headers.Authorization = `Bearer ${ingestToken}`;
      const body = JSON.stringify(batch);
      return { method: "POST", headers, body, credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" };
    }

    function settle({ response, answer }) {
      // Whatever stands between may answer 200 as well; only the server itself says how many it took.
      if (response.status === 200 && answer && Number.isInteger(answer.accepted)) {
        remove(0, inFlight);
        failures = 0;
        retryAt = 0;
        batchEvents = Math.min(BATCH_EVENTS, batchEvents * 2);
        const refused = Array.isArray(answer.rejected) ? answer.rejected : [];
        tell(refused.length ? `the server refused an event: ${refused[0].error}` : null);
        return true;
      }
      if (response.status === 413 || response.status === 400) {
        // Half of it may pass; what is refused all alone will be refused for ever.
        if (inFlight > 1) {
          batchEvents = Math.ceil(inFlight / 2);
          return true;
        }
        drop(0);
        tell(`the server could not take an event (${response.status})`);
        return true;
      }
      const after = response.headers.get("Retry-After");
      if (after) {
        const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
        if (seconds > 0) heldUntil = Date.now() + Math.min(seconds * 1000, REFUSED_RETRY_MS);
      }
      const refused = response.status >= 400 && response.status < 500 && response.status !== 429;
      return retry(`the server answered ${response.status}`, refused ? REFUSED_RETRY_MS : LAST_RETRY_MS);
    }

    function retry(why, longestMs) {
      const full = Math.min(FIRST_RETRY_MS * 2 ** failures, longestMs);
      retryAt = Date.now() + full * (0.5 + Math.random() / 2);
      failures = Math.min(failures + 1, 20);
      tell(why);
      return false;
    }

    function tell(what) {
      const isNew = what !== null && what !== problem;
      problem = what;
      if (isNew && report) quietly(() => report(what));
    }

    async function flush() {
      const wanted = pushed;
      while (removed < wanted && queue.length > 0 && Date.now() >= heldUntil) {
        if (!(await (sending ?? send()))) break;
      }
      return queue.length;
    }

    /* The page may be gone in a moment: hand over what waits, and keep it in case the page comes back. */
    function leave() {
      const encoder = new TextEncoder();
      const batch = [];
      let bytes = 0;
      for (const event of queue) {
        bytes += encoder.encode(JSON.stringify(event)).length + 1;
        if (bytes > LEAVING_BYTES) break;
        batch.push(event);
      }
      if (batch.length === 0) return;
      if (ingestToken) {
        fetch(url, { ...request(batch), keepalive: true }).catch(() => {}); // a beacon cannot carry the token
      } else {
        navigator.sendBeacon(url, JSON.stringify(batch));
      }
    }

    const status = () => ({ queued: queue.length, dropped, problem });
    return { push, flush, leave, status };
  }

  /* What the tap knows of one SDK instance. `emit` takes finished events. */
  function createClient({ appId, common, emit }) {
    const id = uuid();
    const handlers = new Map(); // the app's own, by type
    let seq = 0;
    let sessions = 0;
    let session = null; // of the newest login that may be under way; stays in place after its end
    let state = null;

    function record(type, fields, of = session) {
      seq += 1;
      emit({
        id: uuid(),
        type,
        occurred_at: new Date().toISOString(),
        client_id: id,
        seq,
        session_id: of === null ? null : of.id,
        app_id: appId,
        user_id: of === null ? null : of.userId,
        ...common,
        ...fields,
      });
    }

    /* The SDK refuses a second login for another user (6000111) and joins one for the same user to the first. */
    function loginCalled(user, config) {
      const detailed = typeof config === "object" && config !== null;
      const token = detailed ? config.token : config;
      const userId = text(typeof user === "object" && user !== null ? user.userID : user) || null;
      const live = session !== null && !session.ended;
      const joins = live && session.userId === userId;
      sessions += joins ? 0 : 1;
      const of = joins ? session : { id: uuid(), userId, ended: false, number: sessions };
      if (!live) {
        session = of;
        state = null;
      }
      const offline = Boolean(detailed && config.isOfflineLogin);
      record("login", { offline_login: offline, token_expires_at: expiryOf(token) }, of);
      return { of, opened: !live, token };
    }

    function loginSucceeded(call) {
      record("login_result", { code: 0, message: "" }, call.of);
      if (call.of.number > session.number) session = call.of;
    }

    function loginFailed(call, error) {
      record("login_result", failure(error, call.token), call.of);
      if (call.opened && state !== CONNECTED && state !== RECONNECTING) call.of.ended = true;
    }

    function renewed(token) {
      record("token_renewed", { code: 0, token_expires_at: expiryOf(token) });
    }

    function renewalFailed(token, error) {
      const { code } = failure(error, token);
      record("token_renewed", { code, token_expires_at: null });
    }

    function called(type, data) {
      if (type === "tokenWillExpire") {
        record("token_will_expire", { second: data.second });
        return;
      }
      const extended = typeof data.extendedData === "string" ? text(data.extendedData) : null;
      state = data.state;
      record("connection_state_changed", { state: data.state, event: data.event, extended_data: extended });
      if (data.state === DISCONNECTED && session !== null) session.ended = true;
    }

    function beat() {
      if (session !== null && !session.ended && state !== null) record("heartbeat", { state });
    }

    const logoutCalled = () => record("logout", {});
    return { handlers, loginCalled, loginSucceeded, loginFailed, logoutCalled, renewed, renewalFailed, called, beat };
  }

  /* The SDK rejects with plain {code, message} objects. */
  function failure(error, token) {
    const code = error && Number.isSafeInteger(error.code) ? error.code : -1;
    let message = text(error && error.message !== undefined ? error.message : error) ?? "";
    if (typeof token === "string" && token !== "") message = message.split(token).join("<token>");
    return { code, message };
  }

  /* Replaces a method and gives what puts the old one back; a later wrapper of somebody else's is left in place. */
  function replace(target, name, make) {
    const before = Object.getOwnPropertyDescriptor(target, name);
    const original = target[name];
    const wrapper = make(original);
    for (const property of ["name", "length"]) {
      Object.defineProperty(wrapper, property, { value: original[property], configurable: true });
    }
    Object.defineProperty(wrapper, MARK, { value: true });
    const attributes = before ?? { configurable: true, enumerable: false, writable: true };
    Object.defineProperty(target, name, { ...attributes, value: wrapper });
    return () => {
      if (target[name] !== wrapper) return;
      if (before) Object.defineProperty(target, name, before);
      else delete target[name];
    };
  }

  function check(ZIM, options) {
    const isClass = typeof ZIM === "function" && typeof ZIM.create === "function" && ZIM.prototype;
    if (!isClass || METHODS.some((name) => typeof ZIM.prototype[name] !== "function")) {
      throw new TypeError("ZimTap.install: the first argument must be the ZIM class of zego-zim-web");
    }
    if (ZIM.create[MARK]) throw new Error("ZimTap.install: the tap is installed already");
    if (typeof ZIM.getInstance === "function" && ZIM.getInstance()) {
      throw new Error("ZimTap.install: a ZIM instance exists already; install the tap before ZIM.create()");
    }
    if (!options || typeof options.endpoint !== "string" || !/^https?:\/\//i.test(options.endpoint)) {
      throw new TypeError("ZimTap.install: endpoint must be the http(s) address of a Zimwatch server");
    }
    if (typeof root.fetch !== "function" || !root.crypto) {
      throw new TypeError("ZimTap.install: this environment has no fetch or no crypto");
    }
  }

  /*
   * Options: endpoint (the server's address); ingestToken; appVersion; deviceId; heartbeatSeconds (15; 0 for none);
   * mostEvents (2000) that may wait; onProblem(text), called when events cannot be delivered. Throws where it cannot be
   * installed, with nothing changed.
   */
  function install(ZIM, options) {
    check(ZIM, options);
    const { endpoint, ingestToken, appVersion, deviceId, onProblem } = options;
    const { heartbeatSeconds = 15, mostEvents = 2000 } = options;
    const version = quietly(() => ZIM.getVersion());
    const common = {
      platform: PLATFORM,
      sdk: { name: SDK, version: version === undefined ? undefined : text(version) },
      app_version: appVersion === undefined ? undefined : text(appVersion),
      device_id: deviceId === undefined ? undefined : text(deviceId),
    };
    const sender = createSender({
      url: endpoint.replace(/\/+$/, "") + PATH,
      ingestToken,
      fetch: root.fetch.bind(root),
      mostEvents,
      report: typeof onProblem === "function" ? onProblem : null,
    });
    const clients = new Map();
    const originals = {};
    let installed = true;

    const clientOf = (zim) => (installed ? clients.get(zim) : undefined);

    /* What the SDK holds in the handler's place. */
    function slot(client, type) {
      return function (zim, data) {
        quietly(() => client.called(type, data));
        const handler = client.handlers.get(type);
        return handler === undefined ? undefined : handler.apply(this, arguments);
      };
    }

    function occupy(zim, client, type) {
      originals.on.call(zim, type, slot(client, type));
    }

    function adopt(zim, appId) {
      const client = createClient({ appId, common, emit: sender.push });
      clients.set(zim, client);
      for (const type of CALLBACKS) occupy(zim, client, type);
    }

    function observed(result, succeeded, failed) {
      if (!result || typeof result.then !== "function") return result;
      return result.then(
        (value) => {
          quietly(succeeded);
          return value;
        },
        (error) => {
          quietly(() => failed(error));
          throw error;
        },
      );
    }

    const wrappers = {
      on: (original) =>
        function (type, handler) {
          const client = clientOf(this);
          if (client && CALLBACKS.includes(type) && typeof handler === "function") {
            client.handlers.set(type, handler);
            return undefined;
          }
          return original.apply(this, arguments);
        },
      off: (original) =>
        function (type) {
          const client = clientOf(this);
          if (client && CALLBACKS.includes(type)) {
            client.handlers.delete(type);
            return undefined;
          }
          const result = original.apply(this, arguments);
          if (client && !type) {
            // Without a type the SDK forgets every handler, ours too.
            client.handlers.clear();
            quietly(() => CALLBACKS.forEach((each) => occupy(this, client, each)));
          }
          return result;
        },
      login: (original) =>
        function (user, config) {
          const client = clientOf(this);
          if (!client) return original.apply(this, arguments);
          const call = quietly(() => client.loginCalled(user, config));
          const result = original.apply(this, arguments);
          return observed(
            result,
            () => client.loginSucceeded(call),
            (error) => client.loginFailed(call, error),
          );
        },
      logout: (original) =>
        function () {
          const client = clientOf(this);
          if (client) quietly(client.logoutCalled);
          return original.apply(this, arguments);
        },
      renewToken: (original) =>
        function (token) {
          const client = clientOf(this);
          const result = original.apply(this, arguments);
          if (!client) return result;
          return observed(
            result,
            () => client.renewed(token),
            (error) => client.renewalFailed(token, error),
          );
        },
      destroy: (original) =>
        function () {
          clients.delete(this);
          return original.apply(this, arguments);
        },
    };

    function create(original) {
      return function (config) {
        const zim = original.apply(this, arguments);
        if (installed && zim) {
          quietly(() => adopt(zim, typeof config === "object" ? config.appID : config));
        }
        return zim;
      };
    }

    const undo = [];
    try {
      for (const [name, make] of Object.entries(wrappers)) {
        originals[name] = ZIM.prototype[name];
        undo.push(replace(ZIM.prototype, name, make));
      }
      undo.push(replace(ZIM, "create", create));
    } catch (error) {
      undo.forEach(quietly);
      throw error;
    }

    const leave = () => quietly(sender.leave);
    const hidden = () => root.document.visibilityState === "hidden" && leave();
    const target = typeof root.addEventListener === "function" ? root : null;
    target?.addEventListener("pagehide", leave);
    target?.addEventListener("visibilitychange", hidden, true); // a phone may end a hidden page without pagehide
    const heart = heartbeatSeconds > 0 ? unref(setInterval(() => quietly(beat), heartbeatSeconds * 1000)) : null;

    function beat() {
      // What waits will be a sign of life when it goes.
      if (sender.status().queued === 0) clients.forEach((client) => client.beat());
    }

    function uninstall() {
      if (!installed) return;
      installed = false;
      clearInterval(heart);
      target?.removeEventListener("pagehide", leave);
      target?.removeEventListener("visibilitychange", hidden, true);
      undo.forEach(quietly);
      for (const [zim, client] of clients) {
        for (const type of CALLBACKS) {
          const handler = client.handlers.get(type);
          quietly(() => (handler ? originals.on.call(zim, type, handler) : originals.off.call(zim, type)));
        }
      }
      clients.clear();
    }

    /*
     * flush(): sends what waits now; gives how many events still wait, 0 when all were delivered. Never rejects.
     * status(): {queued, dropped, problem}. uninstall(): puts everything back; what waits is still sent.
     */
    return Object.freeze({ flush: sender.flush, status: sender.status, uninstall });
  }

  const ZimTap = Object.freeze({ install });
  root.ZimTap = ZimTap;
  if (typeof module === "object" && module !== null && module.exports) {
    module.exports = { ZimTap, install, default: ZimTap };
  }
})(globalThis);
