/*
 * Reports the connection events of the ZIM React Native SDK to a Zimwatch server: wire version 1, no dependencies.
 *
 *   import { watch } from "./zimwatch-reporter";
 *   const zim = ZIM.create({ appID, appSign });
 *   const reporter = watch(zim, { endpoint, appID, platform: "Android", storage: AsyncStorage });   // before zim.on()
 *
 * Nothing else changes: `on`, `off`, `login`, `logout` and `renewToken` of this instance work as before. Events are
 * recorded before your handler or the SDK's call runs, are sent in batches, and wait in the storage while the server is
 * unreachable. Of a token only the expiry is read; tokens and names are never sent. An error of the reporter never reaches the app.
 */

const VERSION = "1.0.0"; // of Zimwatch, at the time of copying
const KEY = "zimwatch-queue";
const CALLBACKS = ["connectionStateChanged", "tokenWillExpire"];
const DISCONNECTED = 0;
const CONNECTED = 2;
const RECONNECTING = 3;
const BATCH_EVENTS = 100;
const GATHER_MS = 50; // batches a call with the callbacks inside it
const ANSWER_MS = 10000;
const LONGEST_RETRY_MS = 30000;
const REFUSED_RETRY_MS = 300000;
const LONGEST_TEXT = 65536;
const LONGEST_HEARTBEAT_S = 3600;
const OPTIONS = `endpoint appID platform storage ingestToken sdkName sdkVersion appVersion deviceId mostEvents heartbeatMs
  firstRetryMs assertion`.split(/\s+/);
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function quietly(work) {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time. */
function uuid() {
  const random = Array.from({ length: 10 }, () => Math.floor(Math.random() * 256));
  const bytes = globalThis.crypto?.getRandomValues ? [...crypto.getRandomValues(new Uint8Array(10))] : random;
  bytes[0] = 0x70 | (bytes[0] & 0x0f);
  bytes[2] = 0x80 | (bytes[2] & 0x3f);
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const all = Math.max(0, Date.now()).toString(16).padStart(12, "0") + hex;
  return [all.slice(0, 8), all.slice(8, 12), all.slice(12, 16), all.slice(16, 20), all.slice(20)].join("-");
}

/** A string within the limit and without lone surrogates, which are not UTF-8. */
function text(value) {
  if (value === null || value === undefined) return null;
  return String(value).slice(0, LONGEST_TEXT).replace(/[\uD800-\uDFFF]/gu, "\uFFFD");
}

/** A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted. */
function expiryOf(token) {
  if (typeof token !== "string" || !/^04[A-Za-z0-9+/]{11}/.test(token)) return null;
  let seconds = 0;
  for (let at = 2; at < 12; at += 1) seconds = seconds * 64 + BASE64.indexOf(token[at]);
  seconds = seconds * 16 + (BASE64.indexOf(token[12]) >> 2); // eleven digits are 66 bits: drop two
  const likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
  return likely ? new Date(seconds * 1000).toISOString() : null;
}

/** The queue, in memory and in the storage, and its delivery. */
function createSender({ endpoint, ingestToken, storage, mostEvents, firstRetryMs, assertion, onHeartbeatAfter }) {
  const queue = []; // JSON
  let dropped = 0;
  let inFlight = 0;
  let batch = BATCH_EVENTS;
  let failures = 0;
  let timer = null;
  let heldUntil = 0; // the server's own Retry-After; for heartbeats too
  let loaded = false; // before that the storage must not be written
  let saving = false;
  let unsaved = false;
  let refusalLogged = false;
  let stopped = false;
  let discarded = false; // what was stored before, also where it is not read yet

  async function load() {
    try {
      const lines = ((await storage?.getItem(KEY)) ?? "").split("\n");
      if (!discarded) queue.unshift(...lines.filter((line) => line.startsWith("{") && line.endsWith("}")));
    } catch {
      // An unreadable storage counts as empty.
    }
    loaded = true;
    if (queue.length > 0 || discarded) save();
    schedule(0);
  }

  async function save() {
    unsaved = true;
    if (saving || !loaded) return;
    saving = true;
    while (unsaved) {
      unsaved = false;
      try {
        await storage?.setItem(KEY, queue.map((line) => `${line}\n`).join(""));
      } catch {
        // On a full disk the queue is still in memory.
      }
    }
    saving = false;
  }

  function stop() {
    stopped = discarded = true;
    queue.length = inFlight = 0;
    save();
  }

  function push(event) {
    queue.push(JSON.stringify(event));
    if (queue.length > mostEvents) {
      queue.shift();
      inFlight = Math.max(0, inFlight - 1);
      dropped += 1;
    }
    save();
    schedule(GATHER_MS);
  }

  function schedule(afterMs) {
    if (timer !== null || !loaded || queue.length === 0) return;
    timer = setTimeout(async () => {
      const pauseMs = queue.length > 0 ? await send() : 0;
      timer = null;
      schedule(pauseMs);
    }, Math.max(afterMs, heldMs()));
  }

  /** The user of the first event that has one, and the events before the first of another: an assertion is of one. */
  function ofOneUser(events) {
    let user = null;
    const end = events.findIndex((json) => {
      const own = JSON.parse(json).user_id;
      return own !== null && own !== (user ??= own);
    });
    return [end < 0 ? events : events.slice(0, end), user];
  }

  const heldMs = () => Math.min(heldUntil - Date.now(), REFUSED_RETRY_MS);

  async function post(body, user) {
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), ANSWER_MS);
    try {
      const headers = { "Content-Type": "application/json" };
      if (ingestToken) headers.Authorization = `Bearer ${ingestToken}`;
      const proof = user ? await assertion(user) : null; // where it rejects, the events wait
      if (proof) headers["Zimwatch-Assertion"] = proof;
      // From sent_at the server corrects the times of a wrong clock.
      const url = `${endpoint}/v1/events?sent_at=${new Date().toISOString()}`;
      const response = await fetch(url, { method: "POST", headers, body, signal: abort.signal });
      const after = Number(response.headers.get("Retry-After"));
      if (after > 0) heldUntil = Date.now() + Math.min(after * 1000, REFUSED_RETRY_MS);
      return { status: response.status, body: await response.text() };
    } catch {
      return { status: 0, body: "" };
    } finally {
      clearTimeout(limit);
    }
  }

  /** Handles the answer; false if the server did not accept the request. */
  function handleAnswer({ status, body }) {
    const result = status === 200 && quietly(() => JSON.parse(body));
    // A proxy may answer 200 too; only the server itself returns how many it accepted.
    if (!Number.isInteger(result?.accepted)) return false;
    if (result.heartbeat_after_s >= 1 && result.heartbeat_after_s <= LONGEST_HEARTBEAT_S) onHeartbeatAfter(result.heartbeat_after_s);
    const count = result.rejected?.length ?? 0;
    if (count > 0) refused(result.rejected[0]?.error, count + (Number(result.rejected_more) || 0));
    return true;
  }

  /** Counts events that are refused for good, and logs the first. */
  function refused(why, count) {
    dropped += count;
    if (!refusalLogged) console.warn(`Zimwatch: the server refused an event (${why})`);
    refusalLogged = true;
  }

  /** Sends one batch; returns the pause before the next, in ms. Never rejects. */
  async function send() {
    const next = queue.slice(0, batch);
    const [some, user] = assertion ? ofOneUser(next) : [next];
    inFlight = some.length; // minus what overflow drops meanwhile
    const answer = await post(`[${some.join(",")}]`, user);
    const accepted = handleAnswer(answer);
    const never = answer.status === 400 || answer.status === 413;
    if (never && some.length > 1) {
      batch = Math.ceil(some.length / 2); // half may pass; an event refused alone is refused for ever
      return GATHER_MS;
    }
    if (accepted || never) {
      if (never) refused(answer.status, 1);
      queue.splice(0, inFlight);
      save();
      failures = 0;
      batch = Math.min(BATCH_EVENTS, batch * 2);
      return GATHER_MS;
    }
    const isRefused = answer.status > 400 && answer.status < 500 && answer.status !== 429;
    const full = Math.min(firstRetryMs * 2 ** Math.min(failures, 20), isRefused ? REFUSED_RETRY_MS : LONGEST_RETRY_MS);
    failures += 1;
    return full * (0.5 + Math.random() / 2);
  }

  load();
  const start = () => (stopped = false);
  return { push, stop, start, isStopped: () => stopped, post: async (body, user) => heldMs() <= 0 && handleAnswer(await post(body, assertion && user)), waiting: () => queue.length, dropped: () => dropped };
}

/**
 * Options: endpoint (the server's address), appID, platform (the name of a ZIMPlatformType), storage (AsyncStorage, or
 * anything with its getItem and setItem); ingestToken, sdkName, sdkVersion, appVersion, deviceId, mostEvents, heartbeatMs
 * (until the server requests another interval; 0: none), firstRetryMs, assertion (gets a user id, and returns a promise of
 * the backend's assertion for that user, or nothing; where it rejects, the events wait).
 * Gives waiting() (what the storage holds from before counts once it is read), dropped(),
 * apiError(method, code, message), loggedIn(userID) and logoutCalled() for what was not called on this instance, as by a
 * UI kit; stop(), which records and sends nothing more and discards the queue, as where consent is withdrawn, and start(),
 * which begins again with the SDK's present state.
 */
export function watch(zim, options) {
  const { appID, platform, sdkVersion, appVersion, deviceId } = options;
  const unknown = Object.keys(options).filter((name) => !OPTIONS.includes(name));
  if (unknown.length > 0) console.warn(`Zimwatch: unknown options: ${unknown.join(", ")}`);
  const { mostEvents = 2000, heartbeatMs = 15000, firstRetryMs = 1000 } = options;
  const endpoint = options.endpoint.replace(/\/+$/, "");
  let heart = null;
  let heartbeatAfterMs = heartbeatMs;
  const onHeartbeatAfter = (seconds) => {
    if (seconds * 1000 === heartbeatAfterMs || heart === null) return;
    heartbeatAfterMs = seconds * 1000;
    scheduleHeartbeat();
  };
  const sender = createSender({ ...options, endpoint, mostEvents, firstRetryMs, onHeartbeatAfter });
  const sdk = { name: options.sdkName ?? "zego-zim-react-native", version: text(sdkVersion) };
  const reporter = { name: "zimwatch-react-native", version: VERSION };
  const common = { platform, sdk, app_version: text(appVersion), device_id: text(deviceId), reporter };
  const clientId = uuid();
  const handlers = new Map(); // the app's, by type
  const original = {};
  for (const name of ["on", "off", "login", "logout", "renewToken"]) original[name] = zim[name].bind(zim);
  let seq = 0;
  let session = null; // of the latest login; stays set after its end
  let state = null;
  let last = null; // of the last callback

  // The SDK gives no callback for a logout while reconnecting, so the call itself also ends a login.
  const isLive = () => session !== null && !session.ended && !session.left;

  function createEvent(type, fields, of = session) {
    seq += 1;
    const who = { session_id: of?.id ?? null, app_id: appID, user_id: of?.userID || null };
    const when = { occurred_at: new Date().toISOString(), client_id: clientId, seq };
    return { id: uuid(), type, ...when, ...who, ...common, ...fields };
  }

  const record = (type, fields, of) => sender.isStopped() || quietly(() => sender.push(createEvent(type, fields, of)));

  /** A second login of the same user joins the first; the SDK rejects one for another user. */
  function loginCalled(userID, config) {
    const live = isLive();
    const of = live && session.userID === userID ? session : { id: uuid(), userID, ended: false, left: false };
    if (!live) [session, state] = [of, null];
    record("login", { offline_login: Boolean(config?.isOfflineLogin), token_expires_at: expiryOf(config?.token) }, of);
    return of;
  }

  function loginEnded(of, code, message) {
    record("login_result", { code, message: text(message) }, of);
    if (code !== 0 && state !== CONNECTED && state !== RECONNECTING) of.ended = true;
  }

  /** Records a login by a UI kit, and repeats the last callback, which preceded the user ID, for this user. */
  function loggedIn(userID) {
    if (isLive() && session.userID === userID) return;
    session = { id: uuid(), userID, ended: false, left: false };
    record("login", { offline_login: false, token_expires_at: null });
    record("login_result", { code: 0, message: "" });
    if (last !== null && state !== null && state !== DISCONNECTED) record("connection_state_changed", last);
    else state = null;
  }

  function logoutCalled() {
    record("logout", {});
    if (session !== null) session.left = true;
  }

  const codeOf = (error) => (Number.isSafeInteger(error?.code) ? error.code : -1);

  const seen = {
    connectionStateChanged(data) {
      state = data.state;
      const extended = typeof data.extendedData === "string" ? data.extendedData : JSON.stringify(data.extendedData);
      last = { state, event: data.event, extended_data: text(extended) };
      record("connection_state_changed", last);
      if (state === DISCONNECTED && session !== null) session.ended = true;
      if (state === CONNECTED && session !== null) session.left = false; // the logout had no effect
    },
    tokenWillExpire(data) {
      record("token_will_expire", { second: data.second });
    },
  };

  function register(type) {
    original.on(type, (from, data) => {
      quietly(() => seen[type](data));
      handlers.get(type)?.(from, data);
    });
  }

  zim.on = (type, handler) => {
    if (CALLBACKS.includes(type)) handlers.set(type, handler);
    else original.on(type, handler);
  };
  zim.off = (type) => {
    if (CALLBACKS.includes(type)) handlers.delete(type);
    else original.off(type);
  };
  zim.login = (userID, config) => {
    const of = quietly(() => loginCalled(text(userID), config));
    return original.login(userID, config).then(
      (value) => {
        quietly(() => loginEnded(of, 0, ""));
        return value;
      },
      (error) => {
        quietly(() => loginEnded(of, codeOf(error), error?.message));
        throw error;
      },
    );
  };
  zim.logout = (...given) => {
    quietly(logoutCalled);
    return original.logout(...given);
  };
  zim.renewToken = (token) =>
    original.renewToken(token).then(
      (value) => {
        record("token_renewed", { code: 0, token_expires_at: expiryOf(token) });
        return value;
      },
      (error) => {
        record("token_renewed", { code: codeOf(error), token_expires_at: null });
        throw error;
      },
    );
  CALLBACKS.forEach(register);

  function scheduleHeartbeat() {
    clearTimeout(heart);
    // By chance, so that many clients do not send together, and never later than requested.
    const waitMs = heartbeatAfterMs * (0.8 + Math.random() / 5);
    heart = setTimeout(() => {
      scheduleHeartbeat();
      quietly(sendHeartbeat);
    }, waitMs);
  }

  function sendHeartbeat() {
    // A queued event serves as a sign of life.
    if (!isLive() || state === null || sender.waiting() > 0 || sender.isStopped()) return;
    const beat = createEvent("heartbeat", { state });
    sender.post(JSON.stringify([beat]), beat.user_id); // not retried: another follows
  }

  if (heartbeatMs > 0) scheduleHeartbeat();

  return {
    waiting: sender.waiting,
    dropped: sender.dropped,
    apiError: (method, code, message) => record("api_error", { method, code, message: text(message) }),
    loggedIn: (userID) => quietly(() => loggedIn(text(userID))),
    logoutCalled: () => quietly(logoutCalled),
    stop: () => {
      clearTimeout(heart);
      heart = null;
      sender.stop();
    },
    start: () => {
      sender.start();
      if (heartbeatMs > 0) scheduleHeartbeat();
      if (isLive() && last !== null && state !== null) record("connection_state_changed", last);
    },
  };
}
