// Reads a Token04 in the browser, without sending it. sidecar/domain/token04/layout.py does the same on the server.
(() => {
  "use strict";
  const MOST_CHARACTERS = 16384, TAG_BYTES = 16, BLOCK_BYTES = 16;
  const EARLIEST_S = 946684800, LATEST_S = 7258118400, SHORTEST_MS = 30e3, LONGEST_MS = 24 * 86400e3;

  const inOneLine = (text) => {
    const quoted = text.trim().replace(/^["'`]+/, "");
    let end = quoted.length;
    while (end && "\"'`".includes(quoted[end - 1])) end -= 1;
    return quoted.slice(0, end).split(/[\r\n]/).map((line) => line.trim()).join("");
  };
  // What is wrong with the characters; null if nothing is.
  const flawOf = (text) => {
    const body = text.slice(2);
    if (!text) return "empty";
    if (text.length > MOST_CHARACTERS) return "too_large";
    if (!text.startsWith("04")) return /^[0-9]{2}.{29}/.test(text) ? "other_version" : "no_token04";
    if (body.includes("#")) return "kit_token";
    if (body.includes("%")) return "percent_encoded";
    if (/\s/.test(body)) return "blanks";
    if (/[-_]/.test(body)) return "url_safe";
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(body)) return "not_base64";
    return body.length % 4 || !body ? "cut_off" : null;
  };
  // {flaw}, or {cipher, expiresMs}.
  const parse = (given) => {
    const text = inOneLine(given), flaw = flawOf(text);
    if (flaw) return { flaw };
    let raw;
    try {
      raw = Uint8Array.from(atob(text.slice(2)), (sign) => sign.charCodeAt(0));
    } catch {
      return { flaw: "cut_off" };
    }
    const view = new DataView(raw.buffer), lengths = [];
    let at = 8;
    for (let part = 0; part < 2; part += 1) {
      if (at + 2 > raw.length) return { flaw: "cut_off" };
      const length = view.getInt16(at);
      if (length < 0) return { flaw: "sizes" };
      if (at + 2 + length > raw.length) return { flaw: "cut_off" };
      lengths.push(length);
      at += 2 + length;
    }
    const rest = raw.length - at, mode = rest ? raw[at] : 0, [iv, content] = lengths;
    if (rest > 1) return { flaw: "bytes_left" };
    if (mode > 1) return { flaw: "mode_unknown" };
    const fits = mode === 1 ? iv >= 8 && iv <= 128 && content > TAG_BYTES : iv === BLOCK_BYTES && content > 0 && content % BLOCK_BYTES === 0;
    if (!fits) return { flaw: "sizes" };
    const seconds = Number(view.getBigInt64(0));
    if (seconds >= EARLIEST_S * 1000 && seconds < LATEST_S * 1000) return { flaw: "milliseconds" };
    if (seconds < EARLIEST_S || seconds >= LATEST_S) return { flaw: "no_time" };
    return { cipher: mode === 1 ? "AES-GCM" : "AES-CBC", expiresMs: seconds * 1000 };
  };

  const form = document.getElementById("token-form"), field = document.getElementById("token");
  const result = document.getElementById("token-result");
  // The server's clock decides, as for a token that is sent.
  const aheadMs = Number(form.dataset.now) - Date.now();
  const ofTime = (expiresMs) => {
    const leftMs = expiresMs - (Date.now() + aheadMs);
    if (leftMs <= 0) return "expired";
    if (leftMs < SHORTEST_MS) return "too_short";
    return leftMs > LONGEST_MS ? "too_long" : null;
  };
  const hide = (element, hidden) => { if (element.hidden !== hidden) element.hidden = hidden; };
  const show = () => {
    const { flaw, cipher, expiresMs } = parse(field.value);
    const kind = field.value.trim() ? flaw ?? ofTime(expiresMs) : null;
    const verdict = field.value.trim() ? (kind ? "bad" : "good") : "none";
    for (const one of result.querySelectorAll("[data-verdict]")) hide(one, one.dataset.verdict !== verdict);
    for (const one of result.querySelectorAll("[data-kind]")) hide(one, one.dataset.kind !== kind);
    hide(document.getElementById("token-facts"), !cipher);
    hide(document.getElementById("token-cbc"), cipher !== "AES-CBC");
    if (!cipher) return;
    document.getElementById("token-cipher").textContent = cipher;
    const moment = new Date(expiresMs);
    for (const time of document.getElementById("token-expiry").querySelectorAll("time")) {
      time.dateTime = moment.toISOString();
      time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    }
    result.dispatchEvent(new Event("zimwatch:times", { bubbles: true }));
  };
  let timer = null;
  field.addEventListener("input", () => {
    // What a token that was sent before is said to be belongs to that one.
    for (const one of result.querySelectorAll("[data-sent]")) one.remove();
    show();
    timer ??= setInterval(show, 1000);
  });
  // A browser may fill the field in again after its own way back.
  if (field.value) show();
})();
