// Tables: sorting by column, search, pages, and the filter of the chosen view.
const tables = (() => {
  "use strict";
  const PAGE = 25, FIRST = 100;
  const all = [];

  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  function setUp(box) {
    const body = box.querySelector("tbody");
    const heads = [...box.querySelectorAll("thead th")];
    const rows = [...body.rows].map((element, index) => ({ element, index }));
    const state = { box, rows, order: rows, total: Number(box.dataset.total || rows.length), rest: null, loading: null, group: "", text: "", page: 0, size: box.classList.contains("long") ? PAGE : Infinity };
    heads.forEach((head, column) => sortable(state, head, heads, column));
    if (box.classList.contains("long") && rows.length > 8) tools(state);
    all.push(state);
    show(state);
    return state;
  }

  // Rows beyond the first ones of a long table come as data, and become elements when they are asked for.
  function complete(state) {
    if (!state.rest) return;
    const heads = [...state.box.querySelectorAll("thead th")].map((head) => head.classList.contains("number"));
    const rows = state.rest.map((row, k) => ({ element: rowOf(row.cells, heads, row.group), index: state.rows.length + k }));
    state.rest = null;
    state.box.querySelector("tbody").append(...rows.map((row) => row.element));
    rows.forEach((row) => { row.element.hidden = true; });
    state.rows = state.rows.concat(rows);
    state.order = state.rows;
  }
  async function whole(state) {
    state.loading = state.loading || load(state);
    await state.loading;
    complete(state);
  }
  async function load(state) {
    const block = state.box.querySelector("script.rest");
    if (block) state.rest = await data.read(block);
  }

  function rowOf(cells, numbers, group) {
    const row = make("tr", { "data-group": group === undefined ? null : group });
    cells.forEach((cell, k) => {
      const [text, sort, tone] = Array.isArray(cell) ? cell : [cell, null, ""];
      const classes = [numbers[k] ? "number" : "", tone].filter(Boolean).join(" ");
      row.append(make("td", { class: classes || null, "data-v": sort }, text));
    });
    return row;
  }

  function sortable(state, head, heads, column) {
    const button = make("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", async () => {
      await whole(state);
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const number = head.classList.contains("number");
      const key = (row) => {
        const cell = row.element.cells[column];
        if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
        return number ? NaN : cell.textContent;
      };
      const keyed = state.rows.map((row) => [key(row), row]);
      const sign = down ? -1 : 1;
      keyed.sort(([a, first], [b, second]) => {
        // What has no number stands last in both directions.
        const none = Number(a !== a) - Number(b !== b);
        if (none) return none;
        const found = typeof a === "string" || typeof b === "string"
          ? String(a).localeCompare(String(b), undefined, { numeric: true })
          : a === b || a !== a ? 0 : a - b;
        return sign * found || first.index - second.index;
      });
      state.order = keyed.map(([, row]) => row);
      state.page = 0;
      state.box.querySelector("tbody").append(...state.order.map((row) => row.element));
      show(state);
    });
  }

  function tools(state) {
    const title = state.box.dataset.title;
    const search = make("input", { type: "search", placeholder: "Search", "aria-label": `Search in ${title}` });
    const count = make("span", { role: "status" });
    const back = make("button", { type: "button", "aria-label": "Back, previous page" }, "‹ Back");
    const next = make("button", { type: "button", "aria-label": "Next page" }, "Next ›");
    const every = make("button", { type: "button" }, "Show all");
    search.addEventListener("input", async () => { await whole(state); state.text = search.value.toLocaleLowerCase(); state.page = 0; show(state); });
    back.addEventListener("click", () => { state.page -= 1; show(state); });
    next.addEventListener("click", async () => { await whole(state); state.page += 1; show(state); });
    every.addEventListener("click", async () => {
      await whole(state);
      state.size = state.size === PAGE ? Infinity : PAGE;
      state.page = 0;
      every.textContent = state.size === PAGE ? "Show all" : "Show pages";
      show(state);
    });
    state.box.querySelector(".scroll").before(make("div", { class: "tools" }, search));
    state.box.querySelector(".scroll").after(make("div", { class: "pages" }, count, back, next, every));
    Object.assign(state, { count, back, next });
  }

  function show(state) {
    const words = state.text.split(/\s+/).filter(Boolean);
    const fits = (row) => {
      if (state.group && row.element.dataset.group !== state.group) return false;
      if (!words.length) return true;
      if (row.text === undefined) row.text = row.element.textContent.toLocaleLowerCase();
      return words.every((word) => row.text.includes(word));
    };
    const kept = state.order.filter(fits);
    const from = state.size === Infinity ? 0 : state.page * state.size;
    const until = Math.min(from + state.size, kept.length);
    const seen = new Set(kept.slice(from, until));
    for (const row of state.rows) if (row.element.hidden === seen.has(row)) row.element.hidden = !seen.has(row);
    if (!state.count) return;
    const count = state.rows.length < state.total ? state.total : kept.length;
    const part = count ? `${from + 1} to ${until} of ${count}` : "Nothing found";
    state.count.textContent = count < state.total && count ? `${part} (${state.total} in all)` : part;
    state.back.disabled = from === 0;
    state.next.disabled = until >= count;
  }

  // A table from the numbers of a chart.
  function fromNumbers(numbers) {
    const head = make("tr", {});
    numbers.columns.forEach(([title, number]) => head.append(make("th", { scope: "col", class: number ? "number" : null }, title)));
    const body = make("tbody", {});
    const first = numbers.rows.slice(0, FIRST);
    for (const cells of first) body.append(rowOf(cells, numbers.columns.map(([, number]) => number)));
    const table = make("table", {}, make("caption", { class: "unseen" }, numbers.title), make("thead", {}, head), body);
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": numbers.title }, table);
    const box = make("div", { class: "long", "data-title": numbers.title, "data-total": numbers.rows.length }, scroll);
    const state = setUp(box);
    if (numbers.rows.length > FIRST) state.rest = numbers.rows.slice(FIRST).map((cells) => ({ cells }));
    return box;
  }

  return {
    start: () => document.querySelectorAll(".table").forEach(setUp),
    fromNumbers,
    make,
    // What is not seen at first is read when nothing else is to do.
    loadRest: () => Promise.all(all.map((state) => { state.loading = state.loading || load(state); return state.loading; })),
    filter: (group) => all.filter((state) => state.box.closest("[data-shared]")).forEach(async (state) => { await whole(state); state.group = group; state.page = 0; show(state); }),
    showAll: () => all.forEach((state) => { complete(state); state.rows.forEach((row) => { row.element.hidden = Boolean(state.group) && row.element.dataset.group !== state.group; }); }),
    restore: () => all.forEach(show),
  };
})();
