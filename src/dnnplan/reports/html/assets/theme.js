// Light and dark: follows the system until the reader chooses; charts read their colours from the style sheet.
const theme = (() => {
  "use strict";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  const probe = document.createElement("span");
  let known = new Map();

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  // "@c3" is the colour --c3; "@c3/14" the same with 14 % opacity. "@none" is transparent.
  function colour(token) {
    if (typeof token !== "string" || token[0] !== "@") return token;
    if (token === "@none") return "rgba(0,0,0,0)";
    if (!known.has(token)) {
      const [name, alpha] = token.slice(1).split("/");
      probe.style.color = `var(--${name})`;
      const found = getComputedStyle(probe).color;
      const parts = found.match(/[\d.]+/g) || ["128", "128", "128"];
      known.set(token, alpha ? `rgba(${parts.slice(0, 3).join(",")},${Number(alpha) / 100})` : found);
    }
    return known.get(token);
  }

  // A copy of a chart's data in which tokens are colours; only where colours stand, names are left alone.
  const places = /colou?r$/i;
  function resolved(value, key) {
    if (Array.isArray(value)) {
      return value.length && typeof value[0] === "object" && value[0] !== null
        ? value.map((item) => resolved(item, key))
        : places.test(key) ? value.map(colour) : value.slice();
    }
    if (value && typeof value === "object") {
      const copy = {};
      for (const name of Object.keys(value)) copy[name] = resolved(value[name], name);
      return copy;
    }
    return places.test(key) ? colour(value) : value;
  }

  function changed() {
    known = new Map();
    label();
    for (const listener of listeners) listener();
  }

  let button = null;
  function label() {
    if (!button) return;
    button.textContent = isDark() ? "☀ Light" : "☾ Dark";
  }

  function set(name) {
    if (name) root.dataset.theme = name;
    else delete root.dataset.theme;
    changed();
  }

  function start() {
    probe.hidden = true;
    document.body.append(probe);
    button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => set(isDark() ? "light" : "dark"));
    system.addEventListener("change", () => { if (!root.dataset.theme) changed(); });
    label();
  }

  return { start, resolved, colour, isDark, set, onChange: (listener) => listeners.push(listener) };
})();
