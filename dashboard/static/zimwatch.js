// What a page gains with JavaScript; without it every page is whole. No library but htmx, nothing stored, no eval.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const words = () => document.getElementById("words").dataset;
  const language = root.lang;

  // Times: the viewer's zone, UTC in the tip, and "3 minutes ago" that goes on.
  const two = (number) => String(number).padStart(2, "0");
  const local = (moment) =>
    `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ` +
    `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  const counted = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  const now = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(0, "second");
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  // A page of the past counts from its own moment.
  const past = document.getElementById("live")?.dataset.asOf;
  const ago = (moment) => {
    const seconds = Math.floor(((past ? new Date(past) : Date.now()) - moment) / 1000);
    if (seconds === 0 || seconds === -1) return now;
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
    return counted.format(-Math.sign(seconds) * Math.floor(Math.abs(seconds) / size), unit);
  };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const tellTimes = (part) => {
    for (const time of part.querySelectorAll("time[data-ago]")) put(time, ago(new Date(time.dateTime)));
    for (const time of part.querySelectorAll("time[data-at]")) put(time, local(new Date(time.dateTime)));
    for (const time of part.querySelectorAll("[data-clock]")) {
      const moment = new Date(time.dataset.clock || time.dateTime);
      const day = `${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
      const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
      put(time, time.dataset.form === "day" ? day : time.dataset.form === "second" ? `${clock}:${two(moment.getSeconds())}` : clock);
    }
  };

  // A list never moves under the pointer: rows that are there change in place, what is new or elsewhere waits.
  const held = new Map();
  const keyOf = (row) => row.dataset.key;
  const newest = (rows) => Math.max(0, ...rows.map((row) => Number(row.dataset.at)));
  const hold = (fresh) => {
    for (const next of fresh.querySelectorAll("tbody[data-hold]")) {
      const shown = document.getElementById(next.id);
      if (!shown || !shown.rows.length) continue;
      const rows = [...shown.rows], coming = [...next.rows];
      if (coming.length === rows.length && coming.every((row, place) => keyOf(row) === keyOf(rows[place]))) {
        held.delete(next.id);
        continue;
      }
      const seen = held.get(next.id)?.seen ?? newest(rows);
      const count = coming.filter((row) => Number(row.dataset.at) > seen).length;
      held.set(next.id, { seen, rows: coming.map((row) => row.cloneNode(true)) });
      const byKey = new Map(coming.map((row) => [keyOf(row), row]));
      next.replaceChildren(...rows.map((row) => byKey.get(keyOf(row)) ?? row.cloneNode(true)));
      const button = fresh.querySelector(`[data-show="${next.id}"]`);
      if (button && count) {
        button.textContent = count === 1 ? words().waitingOne : words().waiting.replace("{count}", count);
        button.hidden = false;
      }
    }
  };
  const show = (button) => {
    const body = document.getElementById(button.dataset.show), waiting = held.get(body?.id);
    if (!waiting) return;
    held.delete(body.id);
    body.replaceChildren(...waiting.rows);
    tellTimes(body);
    button.hidden = true;
    body.querySelector("a")?.focus({ preventScroll: true });
  };

  document.addEventListener("htmx:sse:before:message", (event) => {
    const message = event.detail.message;
    const fresh = document.createElement("template");
    fresh.innerHTML = message.data;
    const live = document.getElementById("live");
    // Someone reads or points at a list whose rows are places, not people: it stands still until they leave.
    for (const still of fresh.content.querySelectorAll("[data-still]")) {
      const shown = document.getElementById(still.id);
      if (shown?.matches(":hover, :focus-within")) still.replaceWith(shown.cloneNode(true));
    }
    hold(fresh.content);
    tellTimes(fresh.content);
    const focused = live?.contains(document.activeElement) && document.activeElement.id;
    message.data = fresh.innerHTML;
    if (focused) setTimeout(() => document.getElementById(focused)?.focus({ preventScroll: true }));
    connection(true);
  });
  const connection = (well) => {
    const told = document.getElementById("connection");
    if (told.hidden !== well) told.hidden = well;
    if (!well) told.textContent = words().lost;
  };
  document.addEventListener("htmx:sse:error", () => connection(false));
  document.addEventListener("htmx:sse:after:connection", () => connection(true));

  // Buttons, by what they are for.
  const copied = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const text = source.value ?? source.textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS a browser has no clipboard for scripts; the old way works there.
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    const before = button.textContent;
    button.textContent = words().copied;
    setTimeout(() => { button.textContent = before; }, 1500);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button?.dataset.copy) copied(button);
    if (button?.dataset.show) show(button);
    if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    if (event.target.tagName === "DIALOG") event.target.close();
  });

  // A list's head chooses all of it; a row that comes later is not chosen by that.
  document.addEventListener("change", (event) => {
    const list = event.target.closest("table"), all = list?.querySelector("[data-chooses]");
    if (!all) return;
    const rows = [...list.querySelectorAll("tbody .choose input")];
    if (event.target === all) for (const one of rows) one.checked = all.checked;
    all.checked = rows.length > 0 && rows.every((one) => one.checked);
  });

  // Keys: / finds, ? helps, . shows what waits, g goes.
  const GO = { o: "/", u: "/users", s: "/settings", a: "/alerts" };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, dialog[open]")) return;
    if (going && GO[event.key]) location.assign(GO[event.key]);
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

  // A picture that is wider than the screen begins with what is newest.
  for (const picture of document.querySelectorAll(".picture")) picture.scrollLeft = picture.scrollWidth;
  tellTimes(document);
  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = words().local.replace("{zone}", Intl.DateTimeFormat().resolvedOptions().timeZone);
  setInterval(() => { if (!document.hidden) tellTimes(document); }, 1000);
})();
