// Enhances the pages, which work without it. No library but htmx, no storage, no eval.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const texts = () => document.getElementById("texts").dataset;
  const language = root.lang;

  // Times are in the viewer's zone; each has its offset, so that it can be pasted anywhere.
  const two = (number) => String(number).padStart(2, "0");
  const offset = (moment) => {
    const minutes = -moment.getTimezoneOffset(), size = Math.abs(minutes);
    return minutes ? `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}` : "UTC";
  };
  const local = (moment) =>
    `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ` +
    `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())} ${offset(moment)}`;
  // A moment as the server writes it into titles, labels and sentences.
  const WRITTEN = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g;
  const here = (text) => text.replace(WRITTEN, (found) => local(new Date(found.replace(" UTC", "Z").replace(" ", "T"))));
  const MOMENTS = ":is(input[name=as_of], input[name=from], input[name=until]):not([type=hidden])";
  const moveWritten = (part) => {
    for (const element of part.querySelectorAll("[title*=' UTC']:not(.id, [data-at]), [aria-label*=' UTC']")) {
      for (const name of ["title", "aria-label"]) {
        if (element.hasAttribute(name)) element.setAttribute(name, here(element.getAttribute(name)));
      }
    }
    const nodes = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    while (nodes.nextNode()) {
      const node = nodes.currentNode;
      if (node.data.includes(" UTC") && !node.parentElement?.closest("pre, code, bdi, .id, script, template")) node.data = here(node.data);
    }
    for (const input of part.querySelectorAll("input[data-moment]")) input.value = local(new Date(input.dataset.moment)).slice(0, 19).replace(" ", "T");
    for (const input of part.querySelectorAll(MOMENTS)) {
      const moment = new Date(input.defaultValue), ms = moment.getMilliseconds();
      const exact = ms ? `.${String(ms).padStart(3, "0")}` : "";
      if (input.defaultValue.endsWith("Z") && !isNaN(moment)) input.value = local(moment).replace(/ (?=\S+$)/, `${exact} `);
    }
  };
  // A moment typed or picked without an offset is in the viewer's zone; a time of day still to come is yesterday's.
  const TYPED = /^(?:(?:(\d{4})-)?(\d\d-\d\d)|(\p{L}+))?[T ]*(?:(\d\d?)(:\d\d(?::\d\d(?:\.\d+)?)?))?$/u;
  const dayOf = (moment) => local(moment).slice(0, 10);
  const zoned = (text) => {
    const found = text.trim().match(TYPED);
    if (!found?.[0]) return text;
    const [, year, date, word, hour = "00", rest = ":00"] = found;
    const back = { today: 0, yesterday: 1, [texts().today]: 0, [texts().yesterday]: 1 }[word?.toLowerCase()];
    if (word && back === undefined) return text;
    const day = new Date();
    if (back) day.setDate(day.getDate() - back);
    const at = () => new Date(`${date ? `${year ?? day.getFullYear()}-${date}` : dayOf(day)}T${hour.padStart(2, "0")}${rest}`);
    if (!date && !word && at() > Date.now()) day.setDate(day.getDate() - 1);
    const moment = at(), fraction = rest.match(/\.\d+/)?.[0] ?? "";
    return isNaN(moment) ? text : local(moment).replace(/ (?=\S+$)/, `${fraction} `);
  };
  document.addEventListener("formdata", ({ target, formData }) => {
    for (const name of ["as_of", "at", "from", "until"]) {
      const text = formData.get(name);
      if (text) formData.set(name, zoned(text));
      else if (name === "at") formData.delete(name);
    }
    // A search may end with a moment: alice yesterday 15:50.
    const words = target.matches(".find") ? formData.get("q").trim().split(/\s+/) : [];
    for (const count of [3, 2, 1].filter((count) => count < words.length)) {
      const typed = words.slice(-count).join(" "), moment = zoned(typed);
      if (moment !== typed) return formData.set("moment", moment);
    }
  });
  // The browser loads the words of a language for the first of these, which takes longer than all else here.
  const formatter = {};
  const relative = (numeric) => (formatter[numeric] ??= new Intl.RelativeTimeFormat(language, { numeric }));
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  // A page as of a past moment counts from that moment.
  const past = document.getElementById("live")?.dataset.asOf;
  const ago = (moment) => {
    const seconds = Math.floor(((past ? new Date(past) : Date.now()) - moment) / 1000);
    if (seconds === 0 || seconds === -1) return relative("auto").format(0, "second");
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
    return relative("always").format(-Math.sign(seconds) * Math.floor(Math.abs(seconds) / size), unit);
  };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const updateAges = (part) => {
    for (const time of part.querySelectorAll("time[data-ago]")) put(time, ago(new Date(time.dateTime)));
  };
  // In a list the date of today, else this year, and the zone are there for those who copy alone.
  const brief = (time, text, today) => {
    const hidden = [11, 5, 0].find((size) => text.slice(0, size) === today.slice(0, size)), zone = text.lastIndexOf(" ");
    if (time.textContent === text && (time.firstElementChild?.textContent.length ?? 0) === hidden) return;
    const unseen = (part) => Object.assign(document.createElement("span"), { className: "unseen", textContent: part });
    time.replaceChildren(...(hidden ? [unseen(text.slice(0, hidden))] : []), text.slice(hidden, zone), unseen(text.slice(zone)));
  };
  let zone;
  const zoneName = () => (zone ??= Intl.DateTimeFormat().resolvedOptions().timeZone);
  const updateZone = (part) => {
    for (const place of part.querySelectorAll("[data-zone]")) put(place, texts().local.replace("{zone}", zoneName()));
    for (const place of part.querySelectorAll("[data-zone-name]")) put(place, zoneName());
  };
  const updateTimes = (part) => {
    const today = local(new Date());
    for (const time of part.querySelectorAll("time[data-at]")) {
      const text = local(new Date(time.dateTime));
      if (time.dataset.form === "short") brief(time, text, today);
      else put(time, text);
    }
    for (const time of part.querySelectorAll("[data-clock]")) {
      const moment = new Date(time.dataset.clock || time.dateTime);
      const day = `${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
      const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
      put(time, time.dataset.form === "day" ? day : time.dataset.form === "second" ? `${clock}:${two(moment.getSeconds())}` : clock);
    }
  };

  // The clock of a wall, and its zone.
  const tick = () => {
    const clock = document.querySelector("time[data-now]"), now = new Date();
    if (!clock) return;
    put(clock, `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`);
    put(clock.nextElementSibling, now.getTimezoneOffset() ? `${zoneName()} ${offset(now)}` : "UTC");
  };

  // A list does not move under the pointer: its rows change in place; new and moved rows wait for a click.
  const waitingRows = new Map();
  const keyOf = (row) => row.dataset.key;
  const newest = (rows) => Math.max(0, ...rows.map((row) => Number(row.dataset.at)));
  const keepRows = (fresh) => {
    for (const next of fresh.querySelectorAll("tbody[data-hold]")) {
      const shown = document.getElementById(next.id);
      if (!shown || !shown.rows.length) continue;
      const rows = [...shown.rows], coming = [...next.rows];
      if (coming.length === rows.length && coming.every((row, place) => keyOf(row) === keyOf(rows[place]))) {
        waitingRows.delete(next.id);
        continue;
      }
      const seen = waitingRows.get(next.id)?.seen ?? newest(rows);
      const count = coming.filter((row) => Number(row.dataset.at) > seen).length;
      waitingRows.set(next.id, { seen, rows: coming.map((row) => row.cloneNode(true)) });
      const byKey = new Map(coming.map((row) => [keyOf(row), row]));
      next.replaceChildren(...rows.map((row) => byKey.get(keyOf(row)) ?? row.cloneNode(true)));
      const button = fresh.querySelector(`[data-show="${next.id}"]`);
      if (button && count) {
        button.textContent = count === 1 ? texts().waitingOne : texts().waiting.replace("{count}", count);
        button.hidden = false;
      }
    }
  };
  const show = (button) => {
    const body = document.getElementById(button.dataset.show), waiting = waitingRows.get(body?.id);
    if (!waiting) return;
    waitingRows.delete(body.id);
    body.replaceChildren(...waiting.rows);
    updateTimes(body);
    updateAges(body);
    button.hidden = true;
    body.querySelector("a")?.focus({ preventScroll: true });
  };

  // What was copied a moment ago, by the id of its element, and what its button says otherwise.
  const copiedNow = new Map();
  const live = document.getElementById("live");
  const prepared = (html) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    // A list without row keys stays unchanged while it is hovered or focused.
    for (const still of fresh.content.querySelectorAll("[data-still]")) {
      const shown = document.getElementById(still.id);
      if (shown?.matches(":hover, :focus-within")) still.replaceWith(shown.cloneNode(true));
    }
    for (const button of fresh.content.querySelectorAll("[data-copy]")) if (copiedNow.has(button.dataset.copy)) button.textContent = texts().copied;
    keepRows(fresh.content);
    moveWritten(fresh.content);
    updateTimes(fresh.content);
    updateAges(fresh.content);
    updateZone(fresh.content);
    const focused = live.contains(document.activeElement) && document.activeElement.id;
    if (focused) setTimeout(() => document.getElementById(focused)?.focus({ preventScroll: true }));
    connection(true);
    return fresh.innerHTML;
  };
  document.addEventListener("htmx:sse:before:message", ({ detail: { message } }) => {
    if (message.event === "end") return signedOut(`${JSON.parse(message.data).reason}`);
    message.data = prepared(message.data);
    part = message.id || part;
  });
  const connection = (well) => {
    const banner = document.getElementById("connection");
    if (banner.hidden !== well) banner.hidden = well;
    if (!well) banner.textContent = texts().lost;
  };
  // The token or session of the stream has ended: keep the content, and link to the sign-in.
  const signedOut = (reason) => {
    const banner = document.getElementById("connection"), link = document.createElement("a");
    const below = texts().root;
    link.href = `${below}/sign-in?next=${encodeURIComponent(location.pathname.slice(below.length) + location.search)}`;
    link.textContent = texts().signIn;
    banner.replaceChildren(reason ? `${texts().ended.replace("{reason}", reason)} ` : "", link);
    banner.hidden = false;
  };
  const refused = (status) => {
    // Each attempt is refused until somebody signs in, perhaps in another window.
    if (status !== 401) connection(false);
    else if (document.getElementById("connection").hidden) signedOut("");
  };

  // A few windows hold a stream (streams.js decides which); the others poll, as does one whose stream is down. Over
  // HTTP/2 every window has a stream.
  const POLL_MS = 3000, RESTART_MS = 30000, REPORT_MS = 10000;
  const address = live?.getAttribute("hx-sse:connect");
  let part = address && JSON.parse(live.getAttribute("hx-headers"))["Last-Event-ID"];
  let mayStream = false, streams = false, started = -RESTART_MS;
  const start = () => {
    if (!mayStream || streams || performance.now() - started < RESTART_MS) return;
    started = performance.now();
    htmx.trigger(live, "stream");
  };
  const allow = (yes) => {
    if (yes && !mayStream) started = -RESTART_MS;
    mayStream = yes;
    start();
  };
  const poll = async () => {
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html", "Last-Event-ID": part } });
      if (answer.status === 200) {
        part = answer.headers.get("Last-Event-ID");
        await htmx.swap({ sourceElement: live, target: live, swap: "innerMorph", text: prepared(await answer.text()) });
      }
      if (!answer.ok) return refused(answer.status);
      connection(true);
      start();
    } catch {
      connection(false);
    }
  };
  document.addEventListener("htmx:sse:error", ({ detail }) => { streams = false; refused(detail.status); });
  document.addEventListener("htmx:sse:close", () => { streams = false; });
  document.addEventListener("htmx:sse:before:connection", ({ detail }) => { if (!mayStream) detail.connection.cancelled = true; });
  document.addEventListener("htmx:sse:after:connection", () => { streams = true; connection(true); });
  const load = (source) => {
    const script = document.createElement("script");
    script.src = texts().root + source;
    script.nonce = nonce;
    document.head.append(script);
  };
  // htmx comes after the page is there, and "load" waits for it; it looks at the page in a timer of its own, which is first.
  const { nonce } = document.currentScript;
  if (address) document.addEventListener("DOMContentLoaded", () => load(texts().live));
  let suggests = false;
  document.addEventListener("focusin", (event) => {
    if (suggests || !event.target.matches?.("[data-suggests]")) return;
    suggests = true;
    load(texts().suggest);
  });
  if (address) addEventListener("load", () => setTimeout(() => {
    const protocol = performance.getEntriesByType("navigation")[0]?.nextHopProtocol;
    if (window.SharedWorker && !/^h[23]/.test(protocol)) {
      const port = new SharedWorker(texts().root + texts().streams).port;
      const report = (visible) => {
        if (!visible) mayStream = false;
        port.postMessage(visible);
      };
      port.onmessage = ({ data }) => { if (!document.hidden) allow(data); };
      document.addEventListener("visibilitychange", () => report(!document.hidden));
      addEventListener("pagehide", () => report(false));
      addEventListener("pageshow", () => report(!document.hidden));
      setInterval(() => report(!document.hidden), REPORT_MS);
      report(!document.hidden);
    } else allow(true);
    setInterval(() => { if (!document.hidden && !streams) poll(); }, POLL_MS);
  }));

  // Buttons.
  const copied = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const text = source.dataset.full ?? source.value ?? source.innerText.trim();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS scripts have no clipboard; execCommand works there.
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    if (copiedNow.has(source.id)) return;
    copiedNow.set(source.id, button.textContent);
    button.textContent = texts().copied;
    setTimeout(() => {
      const shown = document.querySelector(`[data-copy="${source.id}"]`);
      if (shown) shown.textContent = copiedNow.get(source.id);
      copiedNow.delete(source.id);
    }, 1500);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button?.dataset.copy) copied(button);
    if (button?.dataset.show) show(button);
    if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    if (event.target.tagName === "DIALOG") event.target.close();
  });

  // The checkbox in the head selects the rows that are there now.
  document.addEventListener("change", (event) => {
    const list = event.target.closest("table"), all = list?.querySelector("[data-chooses]");
    if (!all) return;
    const rows = [...list.querySelectorAll("tbody .choose input")];
    if (event.target === all) for (const one of rows) one.checked = all.checked;
    all.checked = rows.length > 0 && rows.every((one) => one.checked);
  });

  // Keys: / find, ? help, . show waiting rows, g and a key of the navigation.
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, dialog[open]")) return;
    const path = going && texts()[`go${event.key.toUpperCase()}`];
    if (path) location.assign(texts().root + path);
    going = event.key === "g";
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("find")?.focus();
    } else if (event.key === "?") {
      document.getElementById("help").showModal();
    } else if (event.key === ".") {
      const button = document.querySelector("button[data-show]:not([hidden])");
      if (button) show(button);
    }
  });

  // Another script has set moments.
  document.addEventListener("zimwatch:times", (event) => {
    moveWritten(event.target);
    updateTimes(event.target);
    updateAges(event.target);
  });

  moveWritten(document.body);
  updateTimes(document);
  tick();
  // What can wait for the page does: its ages are right, and a timeline wider than the screen has yet to be laid out.
  // A frame asked for here would come before the end of the page, which it delays by a tenth of a second on a slow machine.
  document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => {
    updateAges(document);
    updateZone(document);
  }));
  let day = dayOf(new Date());
  setInterval(() => {
    if (document.hidden) return;
    updateAges(document);
    tick();
    if (day === dayOf(new Date())) return;
    day = dayOf(new Date());
    updateTimes(document);
  }, 1000);
})();
