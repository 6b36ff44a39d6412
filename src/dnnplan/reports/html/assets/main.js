// Puts the page together: theme, tables, the choice of a view, charts, printing.
(() => {
  "use strict";
  const root = document.documentElement;

  function views() {
    const select = document.getElementById("view");
    const found = [...document.querySelectorAll("[data-view]")];
    if (!select || found.length < 2) return;
    select.closest("label").hidden = false;
    select.addEventListener("change", () => {
      const chosen = found[Number(select.value)];
      found.forEach((view) => { view.hidden = view !== chosen; });
      tables.filter(chosen.dataset.group);
      links();
      drawn();
    });
  }

  // Marks on the root element: milliseconds after which what can be seen is drawn, and all of this view.
  async function drawn() {
    const { rest } = await figures.drawVisible();
    root.dataset.ready = String(performance.now());
    await rest();
    root.dataset.complete = String(performance.now());
    tables.loadRest();
  }

  // Links to the sections that can be seen.
  function links() {
    const nav = document.getElementById("sections");
    nav.replaceChildren();
    for (const heading of document.querySelectorAll("main h2")) {
      if (heading.closest("[hidden]")) continue;
      nav.append(tables.make("a", { href: `#${heading.id}` }, heading.textContent));
    }
  }

  function printing() {
    let before = null;
    window.addEventListener("beforeprint", () => {
      before = root.dataset.theme || "";
      theme.set("light");
      tables.showAll();
    });
    window.addEventListener("afterprint", () => {
      theme.set(before || null);
      tables.restore();
    });
  }

  theme.start();
  tables.start();
  links();
  views();
  printing();
  theme.onChange(figures.redraw);
  drawn();
})();
