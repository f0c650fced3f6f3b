// Suggests users while an id is typed: a combobox with a list box, https://www.w3.org/WAI/ARIA/apg/patterns/combobox/.
// zimwatch.js loads it when a field with data-suggests gets the focus; without it the form works as it is.
(() => {
  "use strict";
  const PAUSE_MS = 120;
  const below = document.getElementById("texts").dataset.root;
  const attach = (input) => {
    const list = document.createElement("ul");
    list.id = `${input.name}-${input.id || "field"}-suggestions`;
    list.className = "suggestions";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", input.dataset.suggests);
    list.hidden = true;
    // Its name without the options, where its label is around both.
    if (input.labels.length) input.setAttribute("aria-label", input.labels[0].textContent.trim());
    input.after(list);
    const state = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
    for (const [name, value] of Object.entries(state)) input.setAttribute(name, value);
    let waiting, asked = 0;
    const options = () => [...list.children];
    const active = () => options().find((one) => one.ariaSelected === "true");
    const mark = (option) => {
      for (const one of options()) one.setAttribute("aria-selected", String(one === option));
      if (option) input.setAttribute("aria-activedescendant", option.id);
      else input.removeAttribute("aria-activedescendant");
      option?.scrollIntoView({ block: "nearest" });
    };
    const show = (yes) => {
      list.hidden = !yes;
      input.setAttribute("aria-expanded", String(yes));
      if (!yes) mark();
    };
    const close = () => { clearTimeout(waiting); asked += 1; show(false); };
    const open = (option) => location.assign(below + option.dataset.path);
    const suggest = async () => {
      const mine = asked += 1;
      const field = input.form.elements.app_id, app = field?.value ? `&app_id=${encodeURIComponent(field.value)}` : "";
      try {
        const answer = await fetch(`${below}/users/suggestions?q=${encodeURIComponent(input.value)}${app}`);
        const html = answer.ok ? await answer.text() : "";
        if (mine !== asked) return;
        list.innerHTML = html;
        mark();
        show(list.children.length > 0 && document.activeElement === input);
      } catch {
        if (mine === asked) show(false);
      }
    };
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      if (input.value.trim()) waiting = setTimeout(suggest, PAUSE_MS);
      else close();
    });
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const all = options(), at = all.indexOf(active());
      if (event.key === "Escape" && !list.hidden) close();
      else if (event.key === "Enter" && at >= 0) open(all[at]);
      else if (event.key === "ArrowDown" && !list.hidden) mark(all[(at + 1) % all.length]);
      else if (event.key === "ArrowUp" && !list.hidden) mark(all.at(at < 0 ? -1 : at - 1));
      else return;
      event.preventDefault();
    });
    input.addEventListener("blur", close);
    // The field keeps the focus, so that a press on an option is no blur.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) open(option);
    });
    if (input.value.trim() && input.value !== input.defaultValue) suggest();
  };
  for (const input of document.querySelectorAll("input[data-suggests]")) attach(input);
})();
