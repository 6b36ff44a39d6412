// Charts: drawn by Plotly from the data beside them; own legend, buttons and keys, so that no mouse is needed.
const figures = (() => {
  "use strict";
  const { make } = tables;
  const all = new Map();
  const narrow = () => window.innerWidth < 640;
  const coarse = () => window.matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset", showTips: false, plotlyServerURL: "" };

  function axis(own) {
    return {
      gridcolor: "@grid", linecolor: "@muted", zerolinecolor: "@muted", zeroline: false, zerolinewidth: 1.2,
      // Fixed margins: measuring labels again and again is most of the time that charts take.
      automargin: false, ticklabeloverflow: "allow", ticks: "", tickfont: { size: narrow() ? 11 : 12 }, showline: false, ...own,
      title: { text: own && own.title ? own.title : "", standoff: 10, font: { size: 12.5, color: "@muted" } },
    };
  }

  // Marks of a logarithmic axis of seconds: 1, 2, 5 of each decade where few are seen, else the decades.
  const UNITS = [[1e-9, "ns"], [1e-6, "µs"], [1e-3, "ms"], [1, "s"]];
  function secondsText(seconds) {
    const [size, unit] = UNITS.findLast(([least]) => seconds >= least * 0.9999) || UNITS[0];
    return `${Number((seconds / size).toPrecision(3)).toLocaleString("en")} ${unit}`;
  }
  function marks(low, high) {
    const steps = high - low > (narrow() ? 1.5 : 3) ? [1] : [1, 2, 5];
    const tickvals = [];
    for (let decade = Math.max(-9, Math.floor(low)); decade <= Math.min(9, Math.ceil(high)); decade += 1) {
      for (const step of steps) tickvals.push(step * 10 ** decade);
    }
    return { tickmode: "array", tickvals, ticktext: tickvals.map(secondsText) };
  }
  function clockRange(figure, name) {
    const letter = name[0];
    const values = figure.spec.variants[figure.variant].traces.flatMap((trace) => trace[letter] || []).filter((value) => value > 0);
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    return values.length ? [Math.log10(low), Math.log10(high)] : [-3, 1];
  }
  function clocks(figure, layout) {
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name) && layout[name].clock) {
        const [low, high] = clockRange(figure, name);
        const space = 0.03 * (high - low) || 0.3;
        Object.assign(layout[name], marks(low, high), { range: [low - space, high + space] });
        delete layout[name].clock;
        figure.clocks.add(name);
      }
    }
  }
  function onRelayout(figure) {
    const changes = {};
    for (const name of figure.clocks) {
      const own = figure.chart._fullLayout[name];
      const wanted = marks(...own.range);
      if (wanted.tickvals.length !== own.tickvals.length || wanted.tickvals[0] !== own.tickvals[0]) {
        for (const [key, value] of Object.entries(wanted)) changes[`${name}.${key}`] = value;
      }
    }
    if (Object.keys(changes).length) Plotly.relayout(figure.chart, changes);
  }

  function layoutOf(figure) {
    const spec = figure.spec;
    const given = { ...spec.layout, ...spec.variants[figure.variant].layout };
    const { ytop, legend, left, height, zoom, ...rest } = given;
    const layout = {
      font: { family: "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", size: 12.5, color: "@ink" },
      paper_bgcolor: "@none", plot_bgcolor: "@none", showlegend: false, hovermode: "closest", hoverdistance: 30,
      hoverlabel: { bgcolor: "@card", bordercolor: "@muted", font: { color: "@ink", size: 12.5 }, align: "left" },
      dragmode: coarse() ? false : "zoom",
      margin: { l: Math.min(left || 58, window.innerWidth * 0.36), r: 16, t: ytop ? 30 : 12, b: given.xaxis && given.xaxis.title ? 48 : 30, pad: 3 },
      height: height || (narrow() ? 330 : 400),
      bargap: 0, barmode: "overlay",
      annotations: [], uirevision: String(figure.variant),
      ...rest,
    };
    for (const name of Object.keys(layout)) if (/^[xy]axis\d*$/.test(name)) layout[name] = axis(layout[name]);
    layout.xaxis = layout.xaxis || axis({});
    layout.yaxis = layout.yaxis || axis({});
    clocks(figure, layout);
    if (ytop) {
      layout.annotations = layout.annotations.concat({
        text: escaped(ytop), xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "left", yanchor: "bottom", xshift: 6 - Math.min(left || 58, window.innerWidth * 0.36), yshift: 8,
        showarrow: false, font: { size: 12.5, color: "@muted" },
      });
    }
    return layout;
  }

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const plain = (text) => {
    const parsed = new DOMParser().parseFromString(String(text).replace(/<br>/g, "; "), "text/html");
    return parsed.body.textContent;
  };

  function draw(figure) {
    const traces = figure.spec.variants[figure.variant].traces.map((trace) =>
      figure.off.has(trace.legendgroup) ? { ...trace, visible: "legendonly" } : figure.on.has(trace.legendgroup) ? { ...trace, visible: true } : trace);
    const layout = layoutOf(figure);
    figure.chart.style.height = `${layout.height}px`;
    const done = Plotly.react(figure.chart, theme.resolved(traces, ""), theme.resolved(layout, ""), config);
    figure.drawn = true;
    if (!figure.wired) {
      figure.wired = true;
      figure.chart.on("plotly_relayout", () => onRelayout(figure));
      figure.chart.on("plotly_hover", (event) => { figure.at = { curve: event.points[0].curveNumber, point: event.points[0].pointNumber }; });
    }
    return done;
  }

  // -- legend ---------------------------------------------------------------------------------------------------
  const DASHES = { solid: "", dash: "6 4", dot: "1.5 3", dashdot: "6 3 1.5 3", longdash: "10 4", longdashdot: "10 3 1.5 3" };
  function swatch(traces) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 30 14");
    svg.setAttribute("aria-hidden", "true");
    const add = (name, attributes) => {
      const shape = document.createElementNS(space, name);
      for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
      svg.append(shape);
    };
    const lined = traces.find((t) => t.type === "scatter" && /lines/.test(t.mode || "") && t.line && t.line.width !== 0);
    const marked = traces.find((t) => t.type === "scatter" && /markers/.test(t.mode || ""));
    const barred = traces.find((t) => t.type === "bar");
    if (barred) {
      const outline = barred.marker.line && barred.marker.color === "@none";
      add("rect", { x: 4, y: 1.5, width: 22, height: 11, rx: 2, fill: outline ? "none" : theme.colour(barred.marker.color),
        stroke: outline ? theme.colour(barred.marker.line.color) : "none", "stroke-width": 2 });
      return svg;
    }
    if (lined) add("line", { x1: 1, x2: 29, y1: 7, y2: 7, stroke: theme.colour(lined.line.color), "stroke-width": 2.4, "stroke-dasharray": DASHES[lined.line.dash] || "" });
    if (marked && marked.marker) {
      const [shape, open] = String(marked.marker.symbol || "circle").split(/-(?=open)/);
      const colour = theme.colour(Array.isArray(marked.marker.color) ? marked.marker.color[0] : marked.marker.color);
      const paths = { circle: "M15 3a4 4 0 1 0 .01 0Z", square: "M11.2 3.2h7.6v7.6h-7.6Z", diamond: "M15 2l5 5-5 5-5-5Z",
        "triangle-up": "M15 2.5l4.6 8.3h-9.2Z", "triangle-down": "M15 11.5l4.6-8.3h-9.2Z", pentagon: "M15 2.4l4.6 3.4-1.8 5.5h-5.6l-1.8-5.5Z",
        star: "M15 1.6l1.6 3.7 4 .3-3 2.7.9 4-3.5-2.1-3.5 2.1.9-4-3-2.7 4-.3Z", hexagon: "M15 2.4l4 2.3v4.6l-4 2.3-4-2.3V4.7Z", x: "M11 3l8 8M19 3l-8 8" };
      add("path", { d: paths[shape] || paths.circle, fill: open || shape === "x" ? "none" : colour, stroke: colour, "stroke-width": open || shape === "x" ? 1.6 : 0 });
    }
    return svg;
  }

  function legend(figure) {
    const variant = figure.spec.variants[figure.variant];
    figure.keys.replaceChildren();
    if ({ ...figure.spec.layout, ...variant.layout }.legend === false) return;
    const groups = new Map();
    for (const trace of variant.traces) {
      if (!trace.legendgroup) continue;
      if (!groups.has(trace.legendgroup)) groups.set(trace.legendgroup, []);
      groups.get(trace.legendgroup).push(trace);
    }
    for (const [name, traces] of groups) {
      const shown = traces.find((trace) => trace.showlegend !== false) || traces[0];
      const on = () => !figure.off.has(name) && (figure.on.has(name) || traces.some((trace) => trace.visible !== "legendonly"));
      const button = make("button", { type: "button", "aria-pressed": String(on()) }, swatch(traces), plain(shown.name));
      button.addEventListener("click", () => {
        const was = on();
        (was ? figure.off : figure.on).add(name);
        (was ? figure.on : figure.off).delete(name);
        button.setAttribute("aria-pressed", String(!was));
        draw(figure);
      });
      figure.keys.append(make("li", {}, button));
    }
  }

  // -- zoom -----------------------------------------------------------------------------------------------------
  function zoom(figure, factor, shift) {
    const full = figure.chart._fullLayout;
    if (!full) return;
    const changes = {};
    for (const name of Object.keys(full).filter((key) => /^xaxis\d*$/.test(key))) {
      if (full[name].fixedrange) continue;
      const [low, high] = full[name].range.map(Number);
      const middle = (low + high) / 2 + shift * (high - low), half = ((high - low) / 2) * factor;
      changes[`${name}.range`] = [middle - half, middle + half];
    }
    Plotly.relayout(figure.chart, changes);
  }
  const reset = (figure) => {
    const changes = {};
    const given = { ...figure.spec.layout, ...figure.spec.variants[figure.variant].layout };
    for (const name of Object.keys(figure.chart._fullLayout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const range = given[name] && given[name].range;
      if (figure.clocks.has(name)) { const [low, high] = clockRange(figure, name); changes[`${name}.range`] = [low - 0.03 * (high - low), high + 0.03 * (high - low)]; }
      else if (range) changes[`${name}.range`] = [...range];
      else changes[`${name}.autorange`] = given[name] && given[name].autorange ? given[name].autorange : true;
    }
    Plotly.relayout(figure.chart, changes);
  };

  function save(figure) {
    const { chart } = figure;
    const layout = { ...chart.layout, showlegend: true, legend: { orientation: "h", y: -0.18 }, paper_bgcolor: theme.colour("@card"), width: 1100, height: Math.max(520, chart.clientHeight + 80) };
    Plotly.downloadImage({ data: chart.data, layout, config }, { format: "png", scale: 2, width: layout.width, height: layout.height, filename: `dnnplan-${figure.spec.key}` });
  }

  // -- keys: arrows go from point to point, and what is there is said ---------------------------------------------
  function move(figure, step, hop) {
    const traces = figure.chart.data || [];
    const able = traces.map((trace, k) => k).filter((k) => traces[k].visible !== "legendonly" && traces[k].visible !== false && traces[k].hoverinfo !== "skip" && Array.isArray(traces[k].text) && traces[k].text.length);
    if (!able.length) return;
    let { curve, point } = figure.at || { curve: -1, point: -1 };
    if (!able.includes(curve)) { curve = able[0]; point = step < 0 ? traces[curve].text.length : -1; }
    if (hop) {
      const x = traces[curve].x[Math.max(0, point)];
      curve = able[(able.indexOf(curve) + hop + able.length) % able.length];
      point = nearest(traces[curve].x, x);
    } else {
      point = Math.min(Math.max(point + step, 0), traces[curve].text.length - 1);
    }
    figure.at = { curve, point };
    keepInside(figure, traces[curve], point);
    Plotly.Fx.hover(figure.chart, [{ curveNumber: curve, pointNumber: point }], traces[curve].yaxis && traces[curve].yaxis !== "y" ? `x${traces[curve].yaxis}` : undefined);
    figure.spoken.textContent = plain(traces[curve].text[point]);
  }
  function nearest(values, x) {
    let best = 0;
    values.forEach((value, k) => { if (Math.abs(Number(value) - Number(x)) < Math.abs(Number(values[best]) - Number(x))) best = k; });
    return best;
  }
  function keepInside(figure, trace, point) {
    const own = figure.chart._fullLayout.xaxis;
    if (typeof own.range[0] !== "number" || own.fixedrange) return;
    const raw = trace.base ? trace.base[point] + trace.x[point] / 2 : trace.x[point];
    const x = own.type === "log" ? Math.log10(raw) : Number(raw);
    const [low, high] = own.range;
    if (x >= Math.min(low, high) && x <= Math.max(low, high)) return;
    Plotly.relayout(figure.chart, { "xaxis.range": [x - (high - low) / 2, x + (high - low) / 2] });
  }
  function onKey(figure, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowRight: () => (event.shiftKey ? zoom(figure, 1, 0.25) : move(figure, 1, 0)),
      ArrowLeft: () => (event.shiftKey ? zoom(figure, 1, -0.25) : move(figure, -1, 0)),
      ArrowDown: () => move(figure, 0, 1),
      ArrowUp: () => move(figure, 0, -1),
      "+": () => zoom(figure, 0.5, 0), "=": () => zoom(figure, 0.5, 0), "-": () => zoom(figure, 2, 0), 0: () => reset(figure),
      Escape: () => { Plotly.Fx.unhover(figure.chart); figure.at = null; figure.spoken.textContent = ""; },
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // -- a figure and what stands around it -------------------------------------------------------------------------
  function tools(figure) {
    const box = figure.element.querySelector(".tools");
    const { variants, choice, title } = figure.spec;
    if (variants.length > 1) box.append(variants.length > 4 ? list(figure, variants, choice) : radios(figure, variants, choice));
    const zoomable = figure.spec.layout.zoom !== false;
    const buttons = [["−", "Zoom out", () => zoom(figure, 2, 0)], ["+", "Zoom in", () => zoom(figure, 0.5, 0)], ["‹", "Earlier part", () => zoom(figure, 1, -0.25)],
      ["›", "Later part", () => zoom(figure, 1, 0.25)], ["Reset", "Reset, show all", () => reset(figure)], ["PNG", "PNG, save as picture", () => save(figure)]];
    const group = make("div", { class: "zoom", role: "group", "aria-label": `View of ${title}` });
    for (const [text, label, act] of zoomable ? buttons : buttons.slice(-1)) {
      const button = make("button", { type: "button", "aria-label": `${label}: ${title}`, title: label }, text);
      button.addEventListener("click", act);
      group.append(button);
    }
    box.append(group);
  }
  function radios(figure, variants, choice) {
    const set = make("fieldset", {}, make("legend", {}, choice));
    variants.forEach((variant, k) => {
      const input = make("input", { type: "radio", name: `of-${figure.element.id}`, value: String(k), checked: k === figure.variant });
      input.addEventListener("change", () => choose(figure, k));
      set.append(make("label", {}, input, variant.name));
    });
    return set;
  }
  function list(figure, variants, choice) {
    const select = make("select", {});
    variants.forEach((variant, k) => select.append(make("option", { value: String(k), selected: k === figure.variant }, variant.name)));
    select.addEventListener("change", () => choose(figure, Number(select.value)));
    return make("label", {}, make("span", { class: "name" }, choice), select);
  }
  function choose(figure, k) {
    figure.variant = k;
    figure.at = null;
    figure.spoken.textContent = "";
    legend(figure);
    draw(figure);
    if (figure.details.open) numbers(figure);
  }
  function numbers(figure) {
    if (figure.told === figure.variant) return;
    figure.told = figure.variant;
    figure.details.querySelector(".numbers").replaceChildren(tables.fromNumbers(figure.spec.variants[figure.variant].table));
  }

  async function setUp(element) {
    const figure = {
      element, variant: 0, at: null, clocks: new Set(), off: new Set(), on: new Set(), told: -1, drawn: false,
      spec: await data.read(element.querySelector("script.spec")),
      chart: element.querySelector(".chart"), keys: element.querySelector(".keys"),
      spoken: element.querySelector(".spoken"), details: element.querySelector("details"),
    };
    figure.variant = figure.spec.start;
    tools(figure);
    legend(figure);
    figure.chart.addEventListener("keydown", (event) => onKey(figure, event));
    figure.details.addEventListener("toggle", () => { if (figure.details.open) numbers(figure); });
    all.set(element, figure);
    return figure;
  }

  // First the charts that can be seen; the others one after the other while nothing else is to do, or when they come
  // into view. A chart has its place from the beginning, so that nothing moves.
  const seen = (element) => element.getBoundingClientRect().top < window.innerHeight && element.getBoundingClientRect().bottom > 0;
  const soon = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const figure = all.get(entry.target);
      if (entry.isIntersecting && !figure.drawn) draw(figure);
      if (figure.drawn) soon.unobserve(entry.target);
    }
  }, { rootMargin: "400px" });
  async function drawVisible() {
    const figures_ = [...document.querySelectorAll("figure[data-figure]")].filter((element) => !element.closest("[hidden]"));
    const found = await Promise.all(figures_.map((element) => all.get(element) || setUp(element)));
    const waiting = found.filter((figure) => !figure.drawn);
    for (const figure of waiting) figure.chart.style.height = `${layoutOf(figure).height}px`;
    for (const figure of waiting.filter(({ element }) => seen(element))) await draw(figure);
    waiting.forEach(({ element, drawn }) => { if (!drawn) soon.observe(element); });
    return { rest: () => drawRest(waiting) };
  }
  async function drawRest(waiting) {
    for (const figure of waiting) {
      if (figure.drawn) continue;
      await new Promise((go) => (window.requestIdleCallback ? requestIdleCallback(go, { timeout: 400 }) : setTimeout(go, 30)));
      if (!figure.drawn && !figure.element.closest("[hidden]")) await draw(figure);
    }
  }
  const redraw = () => { for (const figure of all.values()) if (figure.drawn) { legend(figure); draw(figure); } };

  return { drawVisible, redraw };
})();
