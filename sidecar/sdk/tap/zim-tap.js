/*
 * The Web tap: reports the connection events of the ZIM Web SDK to a Zimwatch server, and changes nothing for the app.
 * No dependencies. One file works in every kind of page and process:
 *
 *   <script src="/zim-tap.js"></script>               the global ZimTap
 *   import { ZimTap } from "./zim-tap.mjs";           an ES module
 *   const { ZimTap } = require("./zim-tap.js");       Node.js, Electron, bundlers
 *
 *   const tap = ZimTap.install(ZIM, { endpoint: "https://zimwatch.example.com" });   // before ZIM.create()
 *
 * Guarantees:
 * - the SDK keeps one handler for each event and has no getter, so the tap registers its own handlers and calls the
 *   app's, with the same `this`, arguments, return value and exceptions;
 * - it records before the app's handler runs, which may change the data, and before a call is made, since some callbacks
 *   run synchronously inside the call;
 * - a method that returns a promise returns one derived from the SDK's, because observing a promise in any other way
 *   marks it as handled, and would hide an unhandled rejection of the app. It settles one microtask later;
 * - an error in the tap never reaches the app;
 * - of a token only the expiry is read; tokens, messages and names are never sent;
 * - a recorded event stays in the queue until the server has acknowledged it. Events are dropped only if the queue is
 *   full or the server refuses them for good; each is counted;
 * - the console gets one line for each kind of mistake that the developer has to fix, and nothing else.
 */
(function (root) {
  "use strict";

  const VERSION = "1.0.0";
  const PATH = "/v1/events";
  const CALLBACKS = ["connectionStateChanged", "tokenWillExpire"];
  const METHODS = ["on", "off", "login"];
  const DISCONNECTED = 0;
  const CONNECTED = 2;
  const RECONNECTING = 3;

  const QUEUE_BYTES = 2 ** 21;
  const BATCH_EVENTS = 250;
  const GATHER_MS = 50; // batches a call with the callbacks inside it
  const BETWEEN_SENDS_MS = 1000;
  const ANSWER_MS = 10000;
  const STORAGE_MS = 5000; // after this a database counts as broken
  const LEASE_MS = 20000; // longer than one attempt
  const FIRST_RETRY_MS = 1000;
  const LAST_RETRY_MS = 30000;
  const REFUSED_RETRY_MS = 300000; // a token that is refused is seldom accepted a moment later
  const GZIP_BYTES = 2048; // below this, compression saves little
  const GZIP_MS = 1000;
  const LEAVING_BYTES = 30000; // an unloading page may send 64 KiB, which the app shares
  const LEAVING_EVENTS = 50;
  const FRESH_MS = 60000; // how long an assertion serves an unloading page, which cannot wait for another
  const LONGEST_TEXT = 65536; // the server's limits for one string
  const LONGEST_NAME = 256;
  const LONGEST_HEARTBEAT_S = 3600;

  function quietly(work) {
    try {
      return work();
    } catch {
      // no error may reach the app
    }
  }

  const read = (object, name) => quietly(() => object[name]); // a getter of the app may throw
  const nothing = () => {};

  /* Monotonic milliseconds. */
  const ticks = () => quietly(() => root.performance.now()) ?? Date.now();

  const warned = new Set();

  /* Once for each kind. */
  function warn(kind, sentence) {
    if (!warned.has(kind)) quietly(() => root.console.warn(`ZimTap: ${sentence}`));
    warned.add(kind);
  }

  const unref = (timer) => timer.unref?.() ?? timer; // Node.js: the tap does not keep the process alive

  /* The promise, rejected if it takes longer. */
  function within(ms, promise) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = unref(setTimeout(() => reject(new Error("no answer")), ms));
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  /* RFC 3339. */
  const now = () => new Date().toISOString();

  /* UUID version 7, RFC 9562: milliseconds first, so that ids sort by time. */
  function uuid() {
    const digit = () => Math.floor(Math.random() * 16).toString(16);
    // React Native has no crypto, and a page without TLS no randomUUID.
    const random = quietly(() => root.crypto.randomUUID()) ?? "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, digit);
    const time = Math.max(0, Date.now()).toString(16).padStart(12, "0"); // a clock may be before 1970
    return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
  }

  /* A string within the server's limit and without lone surrogates, which are not UTF-8. */
  function text(value, longest = LONGEST_TEXT) {
    if (value === null || value === undefined) return null;
    return quietly(() => String(value).slice(0, longest).replace(/[\uD800-\uDFFF]/gu, "\uFFFD")) ?? null;
  }

  const name = (value) => text(value, LONGEST_NAME);
  const number = (value) => (typeof value === "number" ? value : name(value));

  /* A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted. */
  const expiryOf = (token) =>
    quietly(() => {
      const bytes = [...atob(token.slice(2, 14))].slice(0, 8);
      const seconds = bytes.reduce((sum, byte) => sum * 256 + byte.charCodeAt(), 0);
      const expiry = new Date(seconds * 1000).toISOString();
      return token.startsWith("04") && expiry > "2" && expiry < "22" ? expiry : null; // the years 2000 to 2199
    }) ?? null;

  /* The SDK rejects with plain {code, message} objects. A message that contains an argument of the call is not sent. */
  function failure(error, given) {
    const code = read(error, "code");
    let message = text(read(error, "message") ?? error) ?? "";
    const look = (_, value) => {
      if (typeof value === "string" && value.length > 2 && message.includes(value)) message = "";
      return value;
    };
    if (!quietly(() => JSON.stringify([...given], look))) message = ""; // the arguments cannot be searched
    return { code: Number.isSafeInteger(code) ? code : -1, message };
  }

  /*
   * The queues. Each kind has add(rows), first(count), remove(rows) and clear(), whose promises settle when the change
   * is stored, and `sum`: its content as last known. A row is {id, json, size, spare}; spare rows are repeats of
   * RECONNECTING and heartbeats. Past `limit` bytes the oldest spare rows are dropped first, then the oldest of all.
   */
  const emptySum = () => ({ queued: 0, queuedBytes: 0, dropped: 0, droppedRepeats: 0 });

  function tally(sum, row, sign, isDropped) {
    sum.queued += sign;
    sum.queuedBytes += sign * row.size;
    if (isDropped) sum[row.spare ? "droppedRepeats" : "dropped"] += 1;
  }

  /* In memory, and in a file if there is one. */
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
    return { sum, add, remove, clear: () => remove(rows.slice()), first: async (count) => rows.slice(0, count) };
  }

  /* In IndexedDB, one for all pages of an origin. Each method is one transaction, and settles when it has ended. */
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
          // An app that deletes all databases must not be blocked.
          database.onversionchange = database.onclose = () => {
            database.close();
            opened = null;
          };
          resolve(database);
        };
      });

    /* `work` gets the two stores and `then`, which passes a request's result on; the promise resolves to the last one. */
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
                  quietly(() => transaction.abort()); // an exception here would reach the page
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

    /* A transaction that changes the sum, which is stored with the rows because pages share them. */
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

    /* The oldest rows, or null while another page than `by` holds the lease, which replaces Web Locks where missing. */
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
          // Some may have been dropped meanwhile, and were counted then.
          rows.filter((row) => keys.includes(row.key)).forEach((row) => tally(now, row, -1));
          events.delete(range);
          done();
        });
      });

    const clear = () =>
      change((events, now, then, done) => {
        events.clear();
        now.queued = now.queuedBytes = 0;
        done();
      });

    return { sum, add, first, remove, clear };
  }

  /*
   * Sends events, oldest first, until the server has acknowledged them. Of the pages that share a database, one sends
   * at a time. An event may still be sent twice; its id makes that harmless.
   */
  function createSender({ url, ingestToken, assertion, onProblem, onHeartbeatAfter, database, memory }) {
    const { fetch } = root; // the original: the app may replace it
    const self = uuid();
    const queues = database ? [database, memory] : [memory];
    const waiting = []; // recorded, and not in a queue yet
    const recent = []; // this page's possibly undelivered rows, which leave() sends
    let writing = null;
    let sending = null;
    let timer = null;
    let failures = 0;
    let batchEvents = BATCH_EVENTS;
    let nextAt = 0;
    let heldUntil = 0; // the server's own Retry-After
    let compresses = true;
    let clockOffsetMs = null;
    let problem = null;
    let refusedCount = 0;
    let stopped = false;
    let proof = {}; // the last assertion, of which user, and when it was made
    let blocked = null; // how the page's Content-Security-Policy blocks requests

    function push(row) {
      if (stopped) return;
      waiting.push(row);
      if (recent.push(row) > LEAVING_EVENTS) recent.shift();
      writing ??= write();
      schedule();
    }

    const overflowed = () => memory.sum.dropped + (database?.sum.dropped ?? 0);

    async function write() {
      await null; // batches rows of the same task
      while (waiting.length > 0) {
        const rows = waiting.slice();
        const before = overflowed();
        // Rows follow earlier ones into memory, to keep the order.
        const written = database && memory.sum.queued === 0 && database.add(rows);
        await (written || memory.add(rows)).catch(() => memory.add(rows));
        waiting.splice(0, rows.length);
        if (overflowed() > before) report("the queue is full: events were dropped");
        // Avoids a transaction per event on a busy page. The timers of a hidden page are throttled.
        if (root.document?.hidden === false) await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      }
      writing = null;
    }

    /* `now`: sends at once, because the network or the page is back. */
    function schedule(now) {
      if (now) {
        clearTimeout(timer);
        timer = null;
        nextAt = 0;
      }
      if (sending || stopped) return;
      const wait = Math.max(GATHER_MS, Math.max(nextAt, heldUntil) - ticks());
      timer ??= unref(setTimeout(send, Math.min(wait, REFUSED_RETRY_MS)));
    }

    /* One attempt: true if acknowledged, false if not, null if the queue is empty. Never rejects. */
    function send() {
      clearTimeout(timer);
      timer = null;
      nextAt = ticks() + BETWEEN_SENDS_MS;
      sending ??= exclusively().then((done) => {
        sending = null;
        if (done !== null) schedule();
        return done;
      });
      return sending;
    }

    /* Makes an attempt unless another page is sending. */
    async function exclusively() {
      const locks = database && read(root.navigator, "locks");
      let sent;
      const one = (lock) => (sent = lock ? attempt() : false);
      await quietly(() => locks.request(url, { ifAvailable: true }, one).catch(nothing));
      return sent ?? attempt(self);
    }

    const attempt = (by) => deliver(by).catch((error) => retry(`events cannot be delivered (${read(error, "message")})`));

    async function deliver(by) {
      await writing;
      const own = recent.length;
      for (const queue of queues) {
        const rows = await queue.first(batchEvents, by).catch(() => []);
        if (rows === null) return false;
        if (rows.length > 0) return post(queue, rows, own);
      }
      if (failures > 0) {
        failures = 0;
        report(null); // another page could deliver
      }
      recent.splice(0, own); // sent by another page
      return null;
    }

    /* The rows before the first of another user than `user`, or than the first that there is: an assertion is of one. */
    function ofOne(rows, user) {
      const end = rows.findIndex((row) => {
        const own = JSON.parse(row.json).user_id;
        return own !== null && own !== (user ??= own);
      });
      return [end < 0 ? rows : rows.slice(0, end), user];
    }

    async function post(queue, all, own) {
      const [rows, user] = assertion ? ofOne(all) : [all];
      // An error of the app is one of this attempt: the events wait, as they would be lost or unproven without it.
      if (user) proof = { user, at: ticks(), text: await within(ANSWER_MS, Promise.resolve(assertion(user))) };
      const body = bodyOf(rows);
      const zipped = compresses && body.length > GZIP_BYTES ? await zip(body).catch(() => (compresses = null)) : null;
      if (stopped) return null;
      const abort = new AbortController();
      const began = Date.now();
      const requested = fetch.call(root, address(), { ...request(zipped ?? body, zipped, user && proof.text), signal: abort.signal });
      const answered = requested.then(async (response) => [response, await response.json().catch(nothing)]);
      const [response, answer] = await within(ANSWER_MS, answered).finally(() => abort.abort());

      const { status, headers } = response;
      // The server's clock minus this one. Date has whole seconds.
      const date = Date.parse(headers.get("Date"));
      if (date) clockOffsetMs = Math.round(date + 500 - (began + Date.now()) / 2);

      // A proxy may answer 200 too; only the server itself returns how many it accepted.
      if (status === 200 && Number.isInteger(answer?.accepted)) {
        await queue.remove(rows);
        failures = 0;
        blocked = null;
        if (all.length < batchEvents && rows === all) recent.splice(0, own);
        else nextAt = 0; // more wait
        batchEvents = Math.min(BATCH_EVENTS, batchEvents * 2);
        const rejected = Array.isArray(answer.rejected) ? answer.rejected : [];
        if (rejected.length > 0) refused(read(rejected[0], "error"), rejected.length + (+answer.rejected_more || 0));
        else report(text(answer.assertion_error));
        quietly(() => onHeartbeatAfter(answer.heartbeat_after_s));
      } else if (zipped && (status === 400 || status === 415)) {
        compresses = null; // compression may be the cause
      } else if (status === 413 || status === 400) {
        // Half of the batch may pass; an event refused alone is refused for ever.
        batchEvents = Math.ceil(rows.length / 2);
        if (rows.length === 1) {
          await queue.remove(rows);
          refused(status, 1);
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

    /* From sent_at the server corrects the times of a wrong clock. */
    const address = () => `${url}?sent_at=${now()}`;

    const bodyOf = (rows) => `[${rows.map((row) => row.json)}]`;

    function request(body, zipped, assertion) {
      const headers = { "Content-Type": "application/json" };
      if (ingestToken) headers.Authorization = `Bearer ${ingestToken}`;
      if (zipped) headers["Content-Encoding"] = "gzip";
      if (assertion) headers["Zimwatch-Assertion"] = assertion;
      return { method: "POST", headers, body, credentials: "omit" };
    }

    function retry(why, isRefused) {
      const full = Math.min(FIRST_RETRY_MS * 2 ** failures, isRefused ? REFUSED_RETRY_MS : LAST_RETRY_MS);
      nextAt = ticks() + full * (0.5 + Math.random() / 2);
      failures += 1;
      report(blocked ?? why);
      return false;
    }

    /* Counts events that are refused for good, and warns the developer. */
    function refused(why, count) {
      const sentence = `the server refused an event (${why})`;
      refusedCount += count;
      report(sentence);
      warn("refused", sentence);
    }

    /* Explains the "Failed to fetch" of a request that the browser blocked. */
    function violated({ blockedURI, disposition }) {
      if (disposition !== "enforce" || !blockedURI || !(blockedURI.startsWith(url) || url.startsWith(blockedURI))) return;
      blocked = `the page's Content-Security-Policy blocks ${url}: name it in connect-src`;
      report(blocked);
      warn("policy", blocked);
    }

    function report(sentence) {
      if (sentence && sentence !== problem) quietly(() => onProblem(sentence));
      problem = sentence;
    }

    /* Stops recording and sending, and discards queued events. */
    async function stop() {
      stopped = true;
      clearTimeout(timer);
      recent.length = 0;
      await writing;
      await Promise.all(queues.map((queue) => queue.clear().catch(nothing)));
    }

    async function flush() {
      while (!stopped && ticks() >= heldUntil && (await send()));
      return status().queued;
    }

    /* The page may unload: sends its recent rows, and keeps them, because the answer will not be received. */
    function leave() {
      let bytes = 0;
      let rows = recent.filter((row) => (bytes += row.size + 1) < LEAVING_BYTES);
      const { user, at, text } = proof;
      // Without a fresh assertion they are sent later: they would count as unproven for ever.
      if (assertion) rows = ticks() - at < FRESH_MS ? ofOne(rows, user)[0] : [];
      if (rows.length === 0 || (database && ticks() < heldUntil)) return; // the next page sends what is kept
      // A beacon cannot carry the token, nor other headers.
      if (ingestToken) fetch.call(root, address(), { ...request(bodyOf(rows), null, text), keepalive: true }).catch(nothing);
      else root.navigator.sendBeacon(address(), bodyOf(text ? [{ json: JSON.stringify({ assertion: text }) }, ...rows] : rows));
    }

    function status() {
      const all = { ...memory.sum, clockOffsetMs, failures, problem };
      for (const key in database?.sum) all[key] += database.sum[key];
      all.queued += waiting.length;
      all.dropped += refusedCount;
      return all;
    }

    return { push, flush, leave, schedule, status, stop, violated };
  }

  /* The recorder of one SDK instance. `push` receives the rows. */
  function createClient(appId, common, push) {
    const id = uuid();
    const handlers = new Map(); // the app's, by type
    let seq = 0;
    let session = null; // of the latest login; stays set after its end
    let state = null;

    /* Native SDKs give no callback for a logout while reconnecting, so the call itself also ends a login. */
    const isLive = () => session !== null && !session.ended && !session.left;

    function record(type, fields, of = session, isSpare = false) {
      seq += 1;
      const event = {
        id: uuid(),
        type,
        occurred_at: now(),
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
     * The SDK rejects a second login for another user (6000111), and joins one for the same user to the first. Returns
     * the functions to call when it succeeds and when it fails.
     */
    function login(given) {
      const [user, config] = given;
      const userId = text(read(user, "userID") ?? user) || null;
      const live = isLive();
      const joins = live && session.userId === userId;
      const of = joins ? session : { id: uuid(), userId, ended: false, left: false };
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

    /* Called before a method of the SDK. Returns the functions to call when its promise resolves and rejects. */
    function calling(method, given) {
      if (method === "login") return login(given);
      if (method === "logout") {
        record("logout", {});
        if (session) session.left = true;
      }
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
      if (state === CONNECTED && session) session.left = false; // the logout did not take place
    }

    function beat() {
      if (isLive() && state !== null) record("heartbeat", { state }, session, true);
    }

    return { handlers, calling, called, beat };
  }

  /* Replaces a method, and returns a function that restores it, unless somebody else has wrapped it since. */
  function replace(target, key, make) {
    const before = Object.getOwnPropertyDescriptor(target, key);
    const value = make(before.value);
    const { name, length } = Object.getOwnPropertyDescriptors(before.value);
    Object.defineProperties(value, { name, length });
    Object.defineProperty(target, key, { ...before, value });
    return () => target[key] === value && Object.defineProperty(target, key, before);
  }

  function check(ZIM, options) {
    const fail = (why) => {
      throw new TypeError(`ZimTap.install: ${why}`);
    };
    const isClass = quietly(() => Object.hasOwn(ZIM, "create") && METHODS.every((key) => Object.hasOwn(ZIM.prototype, key)));
    if (!isClass) fail("this is not the ZIM class");
    if (installed.has(ZIM)) fail("installed already");
    if (quietly(() => ZIM.getInstance())) fail("too late: install the tap before ZIM.create()");
    if (!/^https?:\/\//i.test(options?.endpoint)) fail("endpoint must be an http(s) address");
  }

  /* A database in a page, a file in Node.js, and memory elsewhere and where those fail. */
  function createQueues(url, queue, limit) {
    if (queue === false) return { memory: createMemory(limit) };
    if (quietly(() => process.versions.node)) {
      // A separate file, which pages do not load, required in a way that bundlers do not follow.
      const load = () => process.getBuiltinModule("module").createRequire(__filename)("./zim-tap-file.cjs");
      return { memory: createMemory(limit, quietly(() => load()(url, queue))) };
    }
    const database = quietly(() => root.indexedDB) && createDatabase(limit, queue ?? `zimwatch-tap ${url}`);
    return { database, memory: createMemory(limit) };
  }

  const installed = new WeakSet(); // the classes

  /* The tap while `enabled` is false. */
  const IDLE = Object.freeze({
    flush: async () => 0,
    status: () => ({ ...emptySum(), clockOffsetMs: null, failures: 0, problem: null }),
    uninstall: nothing,
    stop: async () => {},
  });

  /*
   * The options are described in docs/web-tap.md and zim-tap.d.ts. Throws if the tap cannot be installed, and changes
   * nothing.
   */
  function install(ZIM, options) {
    check(ZIM, options);
    if (options.enabled === false) return IDLE;
    const { endpoint, ingestToken, appVersion, deviceId, platform = "Web", sdkName = "zego-zim-web", ...others } = options;
    const { queue, heartbeatSeconds = 15, queueBytes = QUEUE_BYTES, assertion, onProblem, enabled: _, ...unknown } = others;
    const names = Object.keys(unknown).join(", ");
    if (names) warn(names, `unknown options: ${names}`);
    const version = quietly(() => ZIM.getVersion());
    const common = {
      platform: name(platform),
      sdk: { name: name(sdkName), version: typeof version === "string" ? name(version) : null },
      app_version: name(appVersion),
      device_id: name(deviceId),
      reporter: { name: "zim-tap", version: VERSION },
    };
    const url = endpoint.replace(/\/+$/, "") + PATH;
    const queues = createQueues(url, queue, queueBytes);
    const sender = createSender({ url, ingestToken, assertion, onProblem, onHeartbeatAfter: answered, ...queues });
    const clients = new Map();
    let isOn = true;
    const { on: originalOn, off: originalOff } = ZIM.prototype;

    /* Registers the tap's handlers. */
    function occupy(zim, client) {
      for (const type of CALLBACKS) {
        originalOn.call(zim, type, function (_, data) {
          quietly(() => client.called(type, data));
          return client.handlers.get(type)?.apply(this, arguments);
        });
      }
    }

    /* Wraps a method: records the call, and how its promise settles. */
    const method = (name) => (original) =>
      function () {
        const client = clients.get(this);
        const [resolved, rejected] = (client && quietly(() => client.calling(name, arguments))) || [];
        const result = original.apply(this, arguments);
        if (name === "destroy") clients.delete(this);
        if (!resolved || typeof result?.then !== "function") return result;
        return result.then(
          (value) => {
            quietly(resolved);
            return value;
          },
          (error) => {
            quietly(() => rejected(error));
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
            // Without a type the SDK removes every handler, also the tap's.
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

    let heartbeats = null;
    let heartbeatAfterS = heartbeatSeconds || 15;
    let isFrozen = false;
    let channel = null;

    function start() {
      clearTimeout(heartbeats);
      // An answer that arrives while the page is frozen starts no heartbeats.
      if (isFrozen) return;
      // By chance, so that many pages do not send together, and never later than the server requests.
      const seconds = heartbeatAfterS * (0.8 + Math.random() / 5);
      const next = () => {
        start();
        quietly(beat);
      };
      heartbeats = unref(setTimeout(next, seconds * 1000));
    }

    function freeze() {
      isFrozen = true;
      clearTimeout(heartbeats);
    }

    function wake() {
      isFrozen = false;
      start();
      share();
      sender.schedule(true);
    }

    /* The server sets the interval between heartbeats. */
    function onHeartbeatAfter(seconds) {
      if (!isOn || seconds === heartbeatAfterS || !(seconds >= 1 && seconds <= LONGEST_HEARTBEAT_S)) return;
      heartbeatAfterS = seconds;
      start();
    }

    /* Pages that share a database share the interval too, as one of them gets the answers for all. */
    function share() {
      const Channel = root.BroadcastChannel;
      if (!queues.database || !Channel || channel) return;
      channel = new Channel(url);
      channel.onmessage = ({ data }) => quietly(() => onHeartbeatAfter(data));
    }

    /* An open channel may keep a page out of the cache for going back. */
    function leave() {
      sender.leave();
      channel?.close();
      channel = null;
    }

    function answered(seconds) {
      onHeartbeatAfter(seconds);
      channel?.postMessage(seconds);
    }

    function beat() {
      // While the server is unreachable a queued event serves as a sign of life.
      if (heartbeatSeconds > 0 && !sender.status().failures) clients.forEach((client) => client.beat());
      sender.schedule(); // sends what another page left
    }

    const hurry = () => sender.schedule(true);
    const listeners = [
      [root, "pagehide", leave],
      [root, "pageshow", wake],
      [root, "online", hurry],
      [root.document, "securitypolicyviolation", sender.violated],
      [root.document, "visibilitychange", hurry], // phones end hidden pages without pagehide
      [root.document, "freeze", freeze],
      [root.document, "resume", wake],
    ].map(([target, type, work]) => [target, type, (event) => quietly(() => work(event)), true]);
    listeners.forEach(([target, ...given]) => quietly(() => target.addEventListener(...given)));
    wake();

    function uninstall() {
      if (!isOn) return;
      isOn = false;
      installed.delete(ZIM);
      clearTimeout(heartbeats);
      channel?.close();
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
     * flush(): sends queued events now; resolves to the number that still wait. Never rejects. status(): see
     * zim-tap.d.ts. uninstall(): restores the SDK; queued events are still sent. stop(): restores the SDK, and discards
     * queued events.
     */
    const stop = () => {
      uninstall();
      return sender.stop();
    };
    return { flush: sender.flush, status: sender.status, uninstall, stop };
  }

  const ZimTap = Object.freeze({ install });
  root.ZimTap = ZimTap;
  if (typeof module === "object" && module?.exports) {
    module.exports = { ZimTap, install, default: ZimTap };
  }
})(globalThis);
