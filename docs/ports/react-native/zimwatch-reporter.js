/*
 * Reports what the ZIM React Native SDK says about its connection to a Zimwatch server: wire version 1, no dependency.
 *
 *   import { watch } from "./zimwatch-reporter";
 *   const zim = ZIM.create({ appID, appSign });
 *   const reporter = watch(zim, { endpoint, appID, platform: "Android", storage: AsyncStorage });   // before zim.on()
 *
 * Nothing else changes: `on`, `off`, `login`, `logout` and `renewToken` of this instance do what they did. Events are
 * recorded before your handler or the SDK's call runs, go out in batches, and wait in the storage while the server is
 * away. Of a token its expiry alone is read; tokens and names are never sent. An error in here never reaches the app.
 */

const KEY = "zimwatch-queue";
const CALLBACKS = ["connectionStateChanged", "tokenWillExpire"];
const DISCONNECTED = 0;
const CONNECTED = 2;
const RECONNECTING = 3;
const BATCH_EVENTS = 100;
const GATHER_MS = 50; // a call and the callbacks inside it travel together
const ANSWER_MS = 10000;
const LONGEST_RETRY_MS = 30000;
const REFUSED_RETRY_MS = 300000;
const LONGEST_TEXT = 65536;
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
  const all = Date.now().toString(16).padStart(12, "0") + hex;
  return [all.slice(0, 8), all.slice(8, 12), all.slice(12, 16), all.slice(16, 20), all.slice(20)].join("-");
}

/** A string that can be sent: half a surrogate pair is no UTF-8. */
function text(value) {
  if (value === null || value === undefined) return null;
  return String(value).slice(0, LONGEST_TEXT).replace(/[\uD800-\uDFFF]/gu, "\uFFFD");
}

/** A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear. */
function expiryOf(token) {
  if (typeof token !== "string" || !/^04[A-Za-z0-9+/]{11}/.test(token)) return null;
  let seconds = 0;
  for (let at = 2; at < 12; at += 1) seconds = seconds * 64 + BASE64.indexOf(token[at]);
  seconds = seconds * 16 + (BASE64.indexOf(token[12]) >> 2); // eleven digits are 66 bits: two are of the ninth byte
  const likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
  return likely ? new Date(seconds * 1000).toISOString() : null;
}

/** What waits, in memory and in the storage, and how it goes out. */
function createSender({ endpoint, ingestToken, storage, mostEvents, firstRetryMs }) {
  const queue = []; // JSON
  let dropped = 0;
  let inFlight = 0;
  let batch = BATCH_EVENTS;
  let failures = 0;
  let timer = null;
  let loaded = false; // until then the storage must not be written
  let saving = false;
  let unsaved = false;

  async function load() {
    try {
      const lines = ((await storage?.getItem(KEY)) ?? "").split("\n");
      queue.unshift(...lines.filter((line) => line.startsWith("{") && line.endsWith("}")));
    } catch {
      // A storage that cannot be read keeps nothing back.
    }
    loaded = true;
    if (queue.length > 0) save();
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
        // A full disk: what waits is still in memory.
      }
    }
    saving = false;
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
      const pauseMs = await send();
      timer = null;
      schedule(pauseMs);
    }, afterMs);
  }

  async function post(body) {
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), ANSWER_MS);
    try {
      const headers = { "Content-Type": "application/json" };
      if (ingestToken) headers.Authorization = `Bearer ${ingestToken}`;
      const response = await fetch(`${endpoint}/v1/events`, { method: "POST", headers, body, signal: abort.signal });
      const after = Number(response.headers.get("Retry-After"));
      return { status: response.status, body: await response.text(), retryAfterMs: after > 0 ? after * 1000 : 0 };
    } catch {
      return { status: 0, body: "", retryAfterMs: 0 };
    } finally {
      clearTimeout(limit);
    }
  }

  /** One batch; gives how long to wait before the next, in ms. Never rejects. */
  async function send() {
    const some = queue.slice(0, batch);
    inFlight = some.length; // what overflow drops meanwhile is taken off
    const answer = await post(`[${some.join(",")}]`);
    // Whatever stands between may answer 200 as well; only the server itself says how many it took.
    const taken = answer.status === 200 && answer.body.includes('"accepted"');
    const never = answer.status === 400 || answer.status === 413;
    if (never && some.length > 1) {
      batch = Math.ceil(some.length / 2); // half of it may pass; what is refused all alone will be refused for ever
      return GATHER_MS;
    }
    if (taken || never) {
      if (never) dropped += 1;
      queue.splice(0, inFlight);
      save();
      failures = 0;
      batch = Math.min(BATCH_EVENTS, batch * 2);
      return GATHER_MS;
    }
    const refused = answer.status > 400 && answer.status < 500 && answer.status !== 429;
    const full = Math.min(firstRetryMs * 2 ** Math.min(failures, 20), refused ? REFUSED_RETRY_MS : LONGEST_RETRY_MS);
    failures += 1;
    return Math.max(full * (0.5 + Math.random() / 2), Math.min(answer.retryAfterMs, REFUSED_RETRY_MS));
  }

  load();
  return { push, post, waiting: () => queue.length, dropped: () => dropped };
}

/**
 * Options: endpoint (the server's address), appID, platform (a ZIMPlatformType by its name), storage (AsyncStorage, or
 * anything with its getItem and setItem); ingestToken, sdkVersion, appVersion, deviceID, mostEvents, heartbeatMs.
 * Gives waiting(), dropped(), apiError(method, code, message) and stop(), which ends the heartbeats.
 */
export function watch(zim, options) {
  const { appID, platform, sdkVersion, appVersion, deviceID } = options;
  const { mostEvents = 2000, heartbeatMs = 15000, firstRetryMs = 1000 } = options;
  const endpoint = options.endpoint.replace(/\/+$/, "");
  const sender = createSender({ ...options, endpoint, mostEvents, firstRetryMs });
  const sdk = { name: options.sdkName ?? "zego-zim-react-native", version: text(sdkVersion) };
  const common = { platform, sdk, app_version: text(appVersion), device_id: text(deviceID) };
  const clientId = uuid();
  const handlers = new Map(); // the app's own, by type
  const original = {};
  for (const name of ["on", "off", "login", "logout", "renewToken"]) original[name] = zim[name].bind(zim);
  let seq = 0;
  let session = null; // of the newest login that may be under way; stays in place after its end
  let state = null;

  function made(type, fields, of = session) {
    seq += 1;
    const who = { session_id: of?.id ?? null, app_id: appID, user_id: of?.userID || null };
    const when = { occurred_at: new Date().toISOString(), client_id: clientId, seq };
    return { id: uuid(), type, ...when, ...who, ...common, ...fields };
  }

  const record = (type, fields, of) => quietly(() => sender.push(made(type, fields, of)));

  /** A second login of the same user joins the first; the SDK refuses one for another user, which has no callbacks. */
  function loginCalled(userID, config) {
    const live = session !== null && !session.ended;
    const of = live && session.userID === userID ? session : { id: uuid(), userID, ended: false };
    if (!live) [session, state] = [of, null];
    record("login", { offline_login: Boolean(config?.isOfflineLogin), token_expires_at: expiryOf(config?.token) }, of);
    return of;
  }

  function loginEnded(of, code, message) {
    record("login_result", { code, message: text(message) }, of);
    if (code !== 0 && state !== CONNECTED && state !== RECONNECTING) of.ended = true;
  }

  const codeOf = (error) => (Number.isSafeInteger(error?.code) ? error.code : -1);

  const seen = {
    connectionStateChanged(data) {
      state = data.state;
      const extended = typeof data.extendedData === "string" ? data.extendedData : JSON.stringify(data.extendedData);
      record("connection_state_changed", { state, event: data.event, extended_data: text(extended) });
      if (state === DISCONNECTED && session !== null) session.ended = true;
    },
    tokenWillExpire(data) {
      record("token_will_expire", { second: data.second });
    },
  };

  function occupy(type) {
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
    record("logout", {});
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
  CALLBACKS.forEach(occupy);

  const heart = heartbeatMs > 0 && setInterval(() => {
    // What waits will be a sign of life when it goes.
    if (session === null || session.ended || state === null || sender.waiting() > 0) return;
    sender.post(JSON.stringify([made("heartbeat", { state })])); // one that is lost is no loss: another follows
  }, heartbeatMs);

  return {
    waiting: sender.waiting,
    dropped: sender.dropped,
    apiError: (method, code, message) => record("api_error", { method, code, message: text(message) }),
    stop: () => clearInterval(heart),
  };
}
