/*
 * The Web tap: reports what the ZIM Web SDK says about its connection to a Zimwatch server, and changes nothing for the
 * app. No dependencies. One file serves every kind of page and process:
 *
 *   <script src="https://zimwatch.example.com/tap/zim-tap.js"></script>            the global ZimTap
 *   import "https://zimwatch.example.com/tap/zim-tap.js";                          the same global
 *   import { ZimTap } from "https://zimwatch.example.com/tap/zim-tap.mjs";         the same by name
 *   const { ZimTap } = require("./zim-tap.js");                                    Node.js, Electron, bundlers
 *
 *   const tap = ZimTap.install(ZIM, { endpoint: "https://zimwatch.example.com" });   // before ZIM.create()
 *
 * What holds, whatever happens:
 * - the SDK keeps one handler for each event and has no getter, so the tap sits in the SDK's place and passes every
 *   callback on to the app's handler, with the same `this`, arguments, return value and throw;
 * - it records before the app's handler runs, since that may change the data, and before a call is made, since some
 *   callbacks come synchronously inside the call;
 * - a method that returns a promise gives one derived from the SDK's, because a promise that is observed in any other
 *   way counts as handled, and an unhandled rejection of the app's would go unseen. It settles one microtask later;
 * - an error in the tap never reaches the app;
 * - of a token only the expiry is read; tokens, messages and names are never sent;
 * - an event that was recorded waits in the queue until the server has answered for it. Only a queue that is full
 *   drops any, and counts what it drops.
 */
(function (root) {
  "use strict";

  const PATH = "/v1/events";
  const CALLBACKS = ["connectionStateChanged", "tokenWillExpire"];
  const METHODS = ["on", "off", "login"];
  const DISCONNECTED = 0;
  const CONNECTED = 2;
  const RECONNECTING = 3;

  const QUEUE_BYTES = 2 ** 21;
  const BATCH_EVENTS = 250;
  const GATHER_MS = 50; // a call and the callbacks inside it travel together
  const BETWEEN_SENDS_MS = 1000;
  const ANSWER_MS = 10000;
  const STORAGE_MS = 5000; // a database that has not answered by then is taken for broken
  const LEASE_MS = 20000; // longer than one attempt takes
  const FIRST_RETRY_MS = 1000;
  const LAST_RETRY_MS = 30000;
  const REFUSED_RETRY_MS = 300000; // a token that is refused is seldom accepted a moment later
  const GZIP_BYTES = 2048; // under that packing gains little
  const GZIP_MS = 1000;
  const LEAVING_BYTES = 30000; // a page that goes may send 64 KiB, and the app wants some of that
  const LEAVING_EVENTS = 50;
  const LONGEST_TEXT = 65536; // the server's limits for one string
  const LONGEST_NAME = 256;

  function quietly(work) {
    try {
      return work();
    } catch {
      // whatever it is, the app must not see it
    }
  }

  const read = (object, name) => quietly(() => object[name]); // a getter of the app's may throw
  const nothing = () => {};

  /* Milliseconds that no change of the clock moves. */
  const ticks = () => quietly(() => root.performance.now()) ?? Date.now();

  const unref = (timer) => timer.unref?.() ?? timer; // Node.js: the tap keeps no process alive

  /* The promise, or a rejection where it takes longer. */
  function within(ms, promise) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = unref(setTimeout(() => reject(new Error("no answer")), ms));
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  /* UUID version 7, RFC 9562: milliseconds first, so that ids sort by time. */
  function uuid() {
    const digit = () => Math.floor(Math.random() * 16).toString(16);
    // React Native has no crypto, and a page without TLS not all of it.
    const random = quietly(() => root.crypto.randomUUID()) ?? "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, digit);
    const time = Date.now().toString(16).padStart(12, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
  }

  /* A string that can be sent: half a surrogate pair is not UTF-8, and would cost the whole event. */
  function text(value, longest = LONGEST_TEXT) {
    if (value === null || value === undefined) return null;
    return quietly(() => String(value).slice(0, longest).replace(/[\uD800-\uDFFF]/gu, "\uFFFD")) ?? null;
  }

  const name = (value) => text(value, LONGEST_NAME);
  const number = (value) => (typeof value === "number" ? value : name(value));

  /* A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear. */
  const expiryOf = (token) =>
    quietly(() => {
      const bytes = [...atob(token.slice(2, 14))].slice(0, 8);
      const seconds = bytes.reduce((sum, byte) => sum * 256 + byte.charCodeAt(), 0);
      const expiry = new Date(seconds * 1000).toISOString();
      return token.startsWith("04") && expiry > "2" && expiry < "22" ? expiry : null; // the years 2000 to 2199
    }) ?? null;

  /* The SDK rejects with plain {code, message} objects. A message that has in it what the app passed in is not sent. */
  function failure(error, given) {
    const code = read(error, "code");
    let message = text(read(error, "message") ?? error) ?? "";
    const look = (_, value) => {
      if (typeof value === "string" && value.length > 2 && message.includes(value)) message = "";
      return value;
    };
    if (!quietly(() => JSON.stringify([...given], look))) message = ""; // it cannot be looked through
    return { code: Number.isSafeInteger(code) ? code : -1, message };
  }

  /*
   * Where events wait. Every kind of queue has add(rows), first(count) and remove(rows), whose promises settle after
   * the fact, and `sum`: what is in it as far as is known. A row is {id, json, size, spare}; spare rows are those whose
   * loss changes nothing that is known: repeats of RECONNECTING and heartbeats. Past `limit` bytes the oldest spare
   * rows go first, then the oldest of all.
   */
  const emptySum = () => ({ queued: 0, queuedBytes: 0, dropped: 0, droppedRepeats: 0 });

  function tally(sum, row, sign, isDropped) {
    sum.queued += sign;
    sum.queuedBytes += sign * row.size;
    if (isDropped) sum[row.spare ? "droppedRepeats" : "dropped"] += 1;
  }

  /* In memory, and where there is a file, in that as well. */
  function createMemory(limit, file) {
    const sum = emptySum();
    const rows = file?.left ?? [];
    const save = (more) => file && quietly(() => file.save(rows, more));

    async function add(more) {
      rows.push(...more);
      more.forEach((row) => tally(sum, row, 1));
      let added = more;
      while (sum.queuedBytes > limit) {
        const [row] = rows.splice(Math.max(0, rows.findIndex((one) => one.spare)), 1);
        tally(sum, row, -1, true);
        added = null;
      }
      save(added);
    }

    async function remove(gone) {
      const kept = rows.filter((row) => !gone.includes(row) || tally(sum, row, -1));
      rows.splice(0, rows.length, ...kept);
      save();
    }

    rows.forEach((row) => tally(sum, row, 1));
    return { sum, add, remove, first: async (count) => rows.slice(0, count) };
  }

  /* In IndexedDB, one for all pages of an origin. Each method is one transaction, and settles after its end. */
  function createDatabase(limit, name) {
    const sum = emptySum();
    let opened = null;

    const open = () =>
      new Promise((resolve, reject) => {
        const request = root.indexedDB.open(name, 1);
        request.onupgradeneeded = () => {
          const store = request.result.createObjectStore("events", { keyPath: "key", autoIncrement: true });
          store.createIndex("spare", "spare");
          request.result.createObjectStore("about");
        };
        request.onerror = reject;
        request.onsuccess = () => {
          const database = request.result;
          // The app may delete every database that it finds, and must not wait for us.
          database.onversionchange = database.onclose = () => {
            database.close();
            opened = null;
          };
          resolve(database);
        };
      });

    /* `work` gets the two stores, and a function that hands a request's result on; the last one's is the promise's. */
    function transact(mode, work) {
      opened ??= open();
      opened.catch(() => (opened = null));
      const ended = opened.then(
        (database) =>
          new Promise((resolve, reject) => {
            const transaction = database.transaction(["events", "about"], mode);
            let result;
            const then = (request, next) => {
              request.onsuccess = () => {
                try {
                  result = next(request.result);
                } catch {
                  quietly(() => transaction.abort()); // what is thrown from here is the page's to see
                }
              };
            };
            transaction.oncomplete = () => resolve(result);
            transaction.onabort = reject;
            work(transaction.objectStore("events"), transaction.objectStore("about"), then);
          }),
      );
      return within(STORAGE_MS, ended);
    }

    /* A transaction that changes the sum, which is kept beside the rows because pages share them. */
    const change = (work) =>
      transact("readwrite", (events, about, then) => {
        then(about.get("sum"), (found = emptySum()) =>
          work(events, found, then, () => about.put(Object.assign(sum, found), "sum")),
        );
      });

    const add = (rows) =>
      change((events, now, then, done) => {
        for (const row of rows) {
          events.add(row);
          tally(now, row, 1);
        }
        const trim = (source) => {
          if (now.queuedBytes <= limit) return done();
          return then(source.openCursor(), (cursor) => {
            if (cursor && now.queuedBytes > limit) {
              tally(now, cursor.value, -1, true);
              cursor.delete();
              cursor.continue();
            } else trim(events);
          });
        };
        trim(events.index("spare"));
      });

    /* The oldest, or null while another than `by` holds the lease: that is for browsers without Web Locks. */
    const first = (count, by) =>
      transact("readwrite", (events, about, then) => {
        then(about.get("lease"), (held) => {
          const at = Date.now();
          if (by && held?.by !== by && Math.abs(at - held?.at) < LEASE_MS) return null;
          if (by) about.put({ by, at }, "lease");
          then(about.get("sum"), (found) => Object.assign(sum, found));
          return then(events.getAll(null, count), (rows) => rows);
        });
      });

    const remove = (rows) =>
      change((events, now, then, done) => {
        const range = root.IDBKeyRange.bound(rows[0].key, rows[rows.length - 1].key);
        then(events.getAllKeys(range), (keys) => {
          // Some may have been dropped in the meantime, and are counted as that.
          rows.filter((row) => keys.includes(row.key)).forEach((row) => tally(now, row, -1));
          events.delete(range);
          done();
        });
      });

    return { sum, add, first, remove };
  }

  /*
   * Sends events, the oldest first, each until the server has answered for it. One page of those that share a
   * database sends at a time. An event may be sent twice all the same; its id makes that harmless.
   */
  function createSender({ url, ingestToken, onProblem, database, memory }) {
    const { fetch } = root; // what the app puts in its place later is not for us
    const self = uuid();
    const queues = database ? [database, memory] : [memory];
    const waiting = []; // recorded a moment ago, and in no queue yet
    const recent = []; // this page's own that may not have been delivered, for when it is left
    let writing = null;
    let sending = null;
    let timer = null;
    let failures = 0;
    let batchEvents = BATCH_EVENTS;
    let nextAt = 0;
    let heldUntil = 0; // the server's own Retry-After
    let zips = true;
    let clockOffsetMs = null;
    let problem = null;

    function push(row) {
      waiting.push(row);
      if (recent.push(row) > LEAVING_EVENTS) recent.shift();
      writing ??= write();
      schedule();
    }

    async function write() {
      await null; // what comes in one go is written in one
      while (waiting.length > 0) {
        const rows = waiting.slice();
        const { dropped } = status();
        // What comes after events in memory goes there too, so that the order stays.
        const written = database && memory.sum.queued === 0 && database.add(rows);
        await (written || memory.add(rows)).catch(() => memory.add(rows));
        waiting.splice(0, rows.length);
        if (status().dropped > dropped) tell("the queue is full: events were dropped");
        // A transaction for each event would cost a busy page too much. The timers of a hidden page are slow.
        if (root.document?.hidden === false) await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      }
      writing = null;
    }

    /* `now`: the network is back, or the page, and what failed may pass. */
    function schedule(now) {
      if (now) {
        clearTimeout(timer);
        timer = null;
        nextAt = 0;
      }
      if (sending) return;
      const wait = Math.max(GATHER_MS, Math.max(nextAt, heldUntil) - ticks());
      timer ??= unref(setTimeout(send, Math.min(wait, REFUSED_RETRY_MS)));
    }

    /* One attempt: true, false where the server has not answered for it, null where nothing waits. Never rejects. */
    function send() {
      clearTimeout(timer);
      timer = null;
      nextAt = ticks() + BETWEEN_SENDS_MS;
      sending ??= alone().then((done) => {
        sending = null;
        if (done !== null) schedule();
        return done;
      });
      return sending;
    }

    /* An attempt if no other page is at it. */
    async function alone() {
      const locks = database && read(root.navigator, "locks");
      let sent;
      const one = (lock) => (sent = lock ? attempt() : false);
      await quietly(() => locks.request(url, { ifAvailable: true }, one).catch(nothing));
      return sent ?? attempt(self);
    }

    const attempt = (by) => deliver(by).catch((error) => retry(`nothing can be delivered (${read(error, "message")})`));

    async function deliver(by) {
      await writing;
      const own = recent.length;
      for (const queue of queues) {
        const rows = await queue.first(batchEvents, by).catch(() => []);
        if (rows === null) return false;
        if (rows.length > 0) return post(queue, rows, own);
      }
      failures = 0;
      recent.splice(0, own); // another page has sent them
      return null;
    }

    async function post(queue, rows, own) {
      const body = bodyOf(rows);
      const zipped = zips && body.length > GZIP_BYTES ? await zip(body).catch(() => (zips = null)) : null;
      const abort = new AbortController();
      const began = Date.now();
      const asked = fetch.call(root, url, { ...request(zipped ?? body, zipped), signal: abort.signal });
      const answered = asked.then(async (response) => [response, await response.json().catch(nothing)]);
      const [response, answer] = await within(ANSWER_MS, answered).finally(() => abort.abort());

      const { status, headers } = response;
      // The server's clock less this one's. Date has whole seconds.
      const date = Date.parse(headers.get("Date"));
      if (date) clockOffsetMs = Math.round(date + 500 - (began + Date.now()) / 2);

      // Whatever stands between may answer 200 as well; only the server itself says how many it took.
      if (status === 200 && Number.isInteger(answer?.accepted)) {
        await queue.remove(rows);
        failures = 0;
        if (rows.length < batchEvents) recent.splice(0, own);
        else nextAt = 0; // more wait
        batchEvents = Math.min(BATCH_EVENTS, batchEvents * 2);
        const refused = read(answer.rejected, 0);
        tell(refused ? `the server refused an event (${refused.error})` : null);
      } else if (zipped && (status === 400 || status === 415)) {
        zips = null; // it may be the packing
      } else if (status === 413 || status === 400) {
        // Half of it may pass; what is refused all alone will be refused for ever.
        batchEvents = Math.ceil(rows.length / 2);
        if (rows.length === 1) {
          await queue.remove(rows);
          memory.sum.dropped += 1;
          tell(`the server refused an event (${status})`);
        }
      } else {
        const after = headers.get("Retry-After");
        const ms = after * 1000 || Date.parse(after) - Date.now() - clockOffsetMs; // seconds or a date
        if (ms > 0) heldUntil = ticks() + Math.min(ms, REFUSED_RETRY_MS);
        return retry(`the server answered ${status}`, /^4(?!29)/.test(status));
      }
      return true;
    }

    async function zip(body) {
      const packed = new Blob([body]).stream().pipeThrough(new root.CompressionStream("gzip"));
      return within(GZIP_MS, new Response(packed).arrayBuffer());
    }

    const bodyOf = (rows) => `[${rows.map((row) => row.json)}]`;

    function request(body, zipped) {
      const headers = { "Content-Type": "application/json" };
      if (ingestToken) headers.Authorization = `Bearer ${ingestToken}`;
      if (zipped) headers["Content-Encoding"] = "gzip";
      return { method: "POST", headers, body, credentials: "omit" };
    }

    function retry(why, isRefused) {
      const full = Math.min(FIRST_RETRY_MS * 2 ** failures, isRefused ? REFUSED_RETRY_MS : LAST_RETRY_MS);
      nextAt = ticks() + full * (0.5 + Math.random() / 2);
      failures += 1;
      tell(why);
      return false;
    }

    function tell(what) {
      if (what && what !== problem) quietly(() => onProblem(what));
      problem = what;
    }

    async function flush() {
      while (ticks() >= heldUntil && (await send()));
      return status().queued;
    }

    /* The page may be gone in a moment: hand over what is its own, and keep it, because nobody will hear the answer. */
    function leave() {
      let bytes = 0;
      const rows = recent.filter((row) => (bytes += row.size + 1) < LEAVING_BYTES);
      if (rows.length === 0) return;
      // A beacon cannot carry the token.
      if (ingestToken) fetch.call(root, url, { ...request(bodyOf(rows)), keepalive: true }).catch(nothing);
      else root.navigator.sendBeacon(url, bodyOf(rows));
    }

    function status() {
      const all = { ...memory.sum, clockOffsetMs, failures, problem };
      for (const key in database?.sum) all[key] += database.sum[key];
      all.queued += waiting.length;
      return all;
    }

    return { push, flush, leave, schedule, status };
  }

  /* What the tap knows of one SDK instance. `push` takes the rows of finished events. */
  function createClient(appId, common, push) {
    const id = uuid();
    const handlers = new Map(); // the app's own, by type
    let seq = 0;
    let session = null; // of the newest login that may be under way; stays in place after its end
    let state = null;

    function record(type, fields, of = session, isSpare = false) {
      seq += 1;
      const event = {
        id: uuid(),
        type,
        occurred_at: new Date().toISOString(),
        client_id: id,
        seq,
        session_id: of && of.id,
        app_id: appId,
        user_id: of && of.userId,
        ...common,
        ...fields,
      };
      const json = JSON.stringify(event);
      const size = quietly(() => new TextEncoder().encode(json).length) ?? json.length;
      push({ id: event.id, json, size, spare: isSpare ? 1 : undefined });
    }

    /*
     * The SDK refuses a second login for another user (6000111) and joins one for the same user to the first. Gives
     * what to do when the call succeeds and when it fails.
     */
    function login(given) {
      const [user, config] = given;
      const userId = text(read(user, "userID") ?? user) || null;
      const live = session?.ended === false;
      const joins = live && session.userId === userId;
      const of = joins ? session : { id: uuid(), userId, ended: false };
      if (!live) {
        session = of;
        state = null;
      }
      const offline = Boolean(read(config, "isOfflineLogin"));
      record("login", { offline_login: offline, token_expires_at: expiryOf(read(config, "token") ?? config) }, of);
      return [
        () => {
          record("login_result", { code: 0, message: "" }, of);
          if (!of.ended) session = of;
        },
        (error) => {
          record("login_result", failure(error, given), of);
          if (!live && state !== CONNECTED && state !== RECONNECTING) of.ended = true;
        },
      ];
    }

    /* Before a method of the SDK is called. Gives what to do when its promise is kept and when it is broken. */
    function calling(method, given) {
      if (method === "login") return login(given);
      if (method === "logout") record("logout", {});
      if (method !== "renewToken") {
        return [nothing, (error) => record("api_error", { method, ...failure(error, given) })];
      }
      return [
        () => record("token_renewed", { code: 0, token_expires_at: expiryOf(given[0]) }),
        (error) => record("token_renewed", { ...failure(error, given), token_expires_at: null }),
      ];
    }

    function called(type, data) {
      if (type === "tokenWillExpire") {
        record("token_will_expire", { second: number(read(data, "second")) });
        return;
      }
      const before = state;
      const extended = read(data, "extendedData");
      state = number(read(data, "state"));
      const fields = {
        state,
        event: number(read(data, "event")),
        extended_data: typeof extended === "string" ? text(extended) : null,
      };
      record("connection_state_changed", fields, session, state === RECONNECTING && before === RECONNECTING);
      if (state === DISCONNECTED && session) session.ended = true;
    }

    function beat() {
      if (session?.ended === false && state !== null) record("heartbeat", { state }, session, true);
    }

    return { handlers, calling, called, beat };
  }

  /* Replaces a method and gives what puts the old one back; a later wrapper of somebody else's is left in place. */
  function replace(target, key, make) {
    const before = Object.getOwnPropertyDescriptor(target, key);
    const value = make(before.value);
    const { name, length } = Object.getOwnPropertyDescriptors(before.value);
    Object.defineProperties(value, { name, length });
    Object.defineProperty(target, key, { ...before, value });
    return () => target[key] === value && Object.defineProperty(target, key, before);
  }

  function check(ZIM, options) {
    const refuse = (why) => {
      throw new TypeError(`ZimTap.install: ${why}`);
    };
    const isClass = quietly(() => Object.hasOwn(ZIM, "create") && METHODS.every((key) => Object.hasOwn(ZIM.prototype, key)));
    if (!isClass) refuse("this is not the ZIM class");
    if (installed.has(ZIM)) refuse("installed already");
    if (quietly(() => ZIM.getInstance())) refuse("too late: install the tap before ZIM.create()");
    if (!/^https?:\/\//i.test(options?.endpoint)) refuse("endpoint must be an http(s) address");
  }

  /* The queues of this place: a database in a page, a file in Node.js, memory elsewhere and where those are refused. */
  function createQueues(url, queue, limit) {
    if (queue === false) return { memory: createMemory(limit) };
    if (quietly(() => process.versions.node)) {
      // In a file beside this one, so that pages need not load it, and by a way that no bundler follows.
      const load = () => process.getBuiltinModule("module").createRequire(__filename)("./zim-tap-file.cjs");
      return { memory: createMemory(limit, quietly(() => load()(url, queue))) };
    }
    const database = quietly(() => root.indexedDB) && createDatabase(limit, queue ?? `zimwatch-tap ${url}`);
    return { database, memory: createMemory(limit) };
  }

  const installed = new WeakSet(); // the classes

  /*
   * The options are described in docs/web-tap.md and zim-tap.d.ts. Throws where the tap cannot be installed, with
   * nothing changed.
   */
  function install(ZIM, options) {
    check(ZIM, options);
    const { endpoint, ingestToken, appVersion, deviceId, platform = "Web", sdkName = "zego-zim-web", queue } = options;
    const { heartbeatSeconds = 15, queueBytes = QUEUE_BYTES, onProblem } = options;
    const version = quietly(() => ZIM.getVersion());
    const common = {
      platform: name(platform),
      sdk: { name: name(sdkName), version: typeof version === "string" ? name(version) : null },
      app_version: name(appVersion),
      device_id: name(deviceId),
    };
    const url = endpoint.replace(/\/+$/, "") + PATH;
    const sender = createSender({ url, ingestToken, onProblem, ...createQueues(url, queue, queueBytes) });
    const clients = new Map();
    let isOn = true;
    const { on: originalOn, off: originalOff } = ZIM.prototype;

    /* Puts the tap in the place of each handler. */
    function occupy(zim, client) {
      for (const type of CALLBACKS) {
        originalOn.call(zim, type, function (_, data) {
          quietly(() => client.called(type, data));
          return client.handlers.get(type)?.apply(this, arguments);
        });
      }
    }

    /* Any method: seen before it is called, and when its promise settles. */
    const method = (name) => (original) =>
      function () {
        const client = clients.get(this);
        const [kept, broken] = (client && quietly(() => client.calling(name, arguments))) || [];
        const result = original.apply(this, arguments);
        if (name === "destroy") clients.delete(this);
        if (!kept || typeof result?.then !== "function") return result;
        return result.then(
          (value) => {
            quietly(kept);
            return value;
          },
          (error) => {
            quietly(() => broken(error));
            throw error;
          },
        );
      };

    const wrappers = {
      on: (original) =>
        function (type, handler) {
          const client = CALLBACKS.includes(type) && typeof handler === "function" && clients.get(this);
          return client ? void client.handlers.set(type, handler) : original.apply(this, arguments);
        },
      off: (original) =>
        function (type) {
          const client = clients.get(this);
          if (client && CALLBACKS.includes(type)) return void client.handlers.delete(type);
          const result = original.apply(this, arguments);
          if (client && !type) {
            // Without a type the SDK forgets every handler, ours too.
            client.handlers.clear();
            quietly(() => occupy(this, client));
          }
          return result;
        },
    };

    function create(original) {
      return function (config) {
        const zim = original.apply(this, arguments);
        quietly(() => {
          if (!zim || !isOn) return;
          const client = createClient(read(config, "appID") ?? config, common, sender.push);
          clients.set(zim, client);
          occupy(zim, client);
        });
        return zim;
      };
    }

    const undo = [];
    try {
      const methods = Object.getOwnPropertyDescriptors(ZIM.prototype);
      delete methods.constructor;
      for (const key in methods) {
        const isMethod = typeof methods[key].value === "function";
        if (isMethod) undo.push(replace(ZIM.prototype, key, wrappers[key] ?? method(key)));
      }
      undo.push(replace(ZIM, "create", create));
    } catch (error) {
      undo.forEach(quietly);
      throw error;
    }

    installed.add(ZIM);

    let heart = null;
    const rest = () => clearInterval(heart);

    function wake() {
      rest();
      heart = unref(setInterval(() => quietly(beat), (heartbeatSeconds || 15) * 1000));
      sender.schedule(true);
    }

    function beat() {
      // While the server is away one that waits will be a sign of life when it goes.
      if (heartbeatSeconds > 0 && !sender.status().failures) clients.forEach((client) => client.beat());
      sender.schedule(); // what another page has left behind
    }

    const now = () => sender.schedule(true);
    const listeners = [
      [root, "pagehide", sender.leave],
      [root, "pageshow", wake],
      [root, "online", now],
      [root.document, "visibilitychange", now], // a phone may end a hidden page without pagehide
      [root.document, "freeze", rest],
      [root.document, "resume", wake],
    ].map(([target, type, work]) => [target, type, () => quietly(work), true]);
    listeners.forEach(([target, ...given]) => quietly(() => target.addEventListener(...given)));
    wake();

    function uninstall() {
      if (!isOn) return;
      isOn = false;
      installed.delete(ZIM);
      rest();
      listeners.forEach(([target, ...given]) => quietly(() => target.removeEventListener(...given)));
      undo.forEach(quietly);
      for (const [zim, client] of clients) {
        for (const type of CALLBACKS) {
          const handler = client.handlers.get(type);
          quietly(() => (handler ? originalOn.call(zim, type, handler) : originalOff.call(zim, type)));
        }
      }
      clients.clear();
    }

    /*
     * flush(): sends what waits now; gives how many events still wait, 0 when all were delivered. Never rejects.
     * status(): see zim-tap.d.ts. uninstall(): puts everything back; what waits is still sent.
     */
    return { flush: sender.flush, status: sender.status, uninstall };
  }

  const ZimTap = Object.freeze({ install });
  root.ZimTap = ZimTap;
  if (typeof module === "object" && module?.exports) {
    module.exports = { ZimTap, install, default: ZimTap };
  }
})(globalThis);
