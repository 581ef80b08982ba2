// Charts of the panes as SVG: one dot a case, intervals around 0, slopes of counts, lines over visits.
(function () {
  "use strict";
  const posttx = window.posttx, make = posttx.make;
  const NEAR = 14;
  const STEPS = {
    ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity
  };

  posttx.svg = function (tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes || {}).forEach(([name, value]) => element.setAttribute(name, String(value)));
    if (text !== undefined) { element.textContent = text; }
    return element;
  };
  const svg = posttx.svg;
  posttx.swatch = function (name) {
    const element = make("span", { class: "swatch", "aria-hidden": "true" });
    element.style.background = `var(--class-${posttx.data.classes.findIndex((one) => one.name === name)})`;
    return element;
  };
  posttx.signed = function (value, digits) {
    const text = Math.abs(value).toFixed(digits);
    return (Number(text) === 0 ? "" : value > 0 ? "+" : "−") + text;
  };

  // Both axes from 0 to 1, and the line of equal values.
  function frame(size, left, xTitle, yTitle) {
    const root = svg("svg", { viewBox: `0 0 ${size + left + 12} ${size + 44}`, class: "chart" });
    const x = (value) => left + value * size, y = (value) => 8 + (1 - value) * size;
    [0, 0.25, 0.5, 0.75, 1].forEach(function (tick) {
      root.append(
        svg("line", { x1: x(0), x2: x(1), y1: y(tick), y2: y(tick), class: "rule" }),
        svg("line", { x1: x(tick), x2: x(tick), y1: y(0), y2: y(1), class: "rule" }),
        svg("text", { x: x(tick), y: y(0) + 14, "text-anchor": "middle" }, String(tick)),
        svg("text", { x: left - 4, y: y(tick) + 4, "text-anchor": "end" }, String(tick))
      );
    });
    root.append(
      svg("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "axis" }),
      svg("text", { x: x(0.5), y: y(0) + 30, "text-anchor": "middle" }, xTitle),
      svg("text", { x: 10, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 10 ${y(0.5)})` }, yTitle)
    );
    return { root, x, y };
  }
  function marks(points, at) {
    return points.map(at).map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
  }

  /* Return a chart of points {x, y, text, open}: a slider over its points for keys and screen readers, Enter and click
     open one. `options`: label, xTitle, yTitle, color, solid(point) -> whether it is drawn in full. */
  posttx.scatter = function (points, options) {
    const { root, x, y } = frame(240, 46, options.xTitle, options.yTitle);
    const at = (point) => [x(point.x), y(point.y)];
    const read = make("p", { class: "note read" });
    const ring = svg("circle", { r: 6, class: "ring", visibility: "hidden" });
    let current = 0;
    [["faint", false], ["full", true]].forEach(([name, solid]) => root.append(svg("path", {
      d: marks(points.filter((point) => options.solid(point) === solid), at), class: "dots " + name, stroke: options.color
    })));
    root.append(ring);
    function show(to) {
      current = Math.max(0, Math.min(points.length - 1, to));
      const [cx, cy] = at(points[current]);
      ring.setAttribute("cx", cx);
      ring.setAttribute("cy", cy);
      ring.setAttribute("visibility", "visible");
      root.setAttribute("aria-valuenow", String(current + 1));
      root.setAttribute("aria-valuetext", points[current].text);
      read.textContent = points[current].text;
    }
    if (points.length) {
      const named = {
        role: "slider", tabindex: "0", "aria-label": options.label, "aria-valuemin": 1, "aria-valuemax": points.length,
        "aria-valuenow": 1, "aria-valuetext": points[0].text
      };
      Object.entries(named).forEach(([name, value]) => root.setAttribute(name, String(value)));
      root.addEventListener("keydown", function (event) {
        if (event.ctrlKey || event.altKey || event.metaKey) { return; }
        if (event.key === "Enter") { points[current].open(); }
        else if (Object.hasOwn(STEPS, event.key)) { show(current + STEPS[event.key]); }
        else { return; }
        event.preventDefault();
      });
      root.addEventListener("focus", () => show(current));
      const near = (action) => (event) => { const found = nearest(event); if (found >= 0) { action(found); } };
      root.addEventListener("mousemove", near(show));
      root.addEventListener("click", near((found) => points[found].open()));
    }
    function nearest(event) {
      const inside = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
      let best = -1, least = NEAR;
      points.forEach(function (point, i) {
        const [px, py] = at(point), far = Math.hypot(px - inside.x, py - inside.y);
        if (far < least) { best = i; least = far; }
      });
      return best;
    }
    const element = make("div", { class: "plot" });
    element.append(root, read);
    return element;
  };

  /* An interval and its value on an axis from -reach to reach, with a line at 0; no words: they stand beside it. */
  posttx.interval = function (value, low, high, reach, color) {
    const root = svg("svg", { viewBox: "0 0 160 18", class: "interval", "aria-hidden": "true" });
    const x = (at) => 80 + 76 * Math.max(-1, Math.min(1, at / reach));
    root.append(svg("line", { x1: 80, x2: 80, y1: 0, y2: 18, class: "axis" }));
    if (low !== null && high !== null) {
      root.append(svg("line", { x1: x(low), x2: x(high), y1: 9, y2: 9, stroke: color, "stroke-width": 3 }));
    }
    if (value !== null) { root.append(svg("circle", { cx: x(value), cy: 9, r: 4.5, fill: color })); }
    return root;
  };

  /* A line from one count to another, from 0 to the larger of the two. */
  posttx.slope = function (before, after, color) {
    const root = svg("svg", { viewBox: "0 0 90 30", class: "slope", "aria-hidden": "true" });
    const y = (count) => 26 - 22 * (count / Math.max(1, before, after));
    root.append(
      svg("line", { x1: 8, x2: 82, y1: y(before), y2: y(after), stroke: color, "stroke-width": 2 }),
      svg("circle", { cx: 8, cy: y(before), r: 4, class: "hollow", stroke: color }),
      svg("circle", { cx: 82, cy: y(after), r: 4, fill: color })
    );
    return root;
  };

  /* Volumes of one class over visits: reference solid, prediction dashed. `visits` are [time, ml or null, ml or null]. */
  posttx.course = function (visits, most, color, label) {
    const width = 300, height = 92, left = 40;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label });
    const times = visits.map((visit) => visit[0]), first = Math.min(...times), last = Math.max(...times);
    const along = (time) => left + 8 + (width - left - 20) * (time - first) / (last - first);
    const x = (time) => (last > first ? along(time) : (width + left) / 2);
    const y = (ml) => height - 22 - (height - 32) * (most > 0 ? ml / most : 0);
    [0, most].filter((tick, i) => i === 0 || tick > 0).forEach((tick) => root.append(
      svg("line", { x1: left, x2: width - 4, y1: y(tick), y2: y(tick), class: "rule" }),
      svg("text", { x: left - 4, y: y(tick) + 4, "text-anchor": "end" }, tick ? tick.toFixed(tick < 10 ? 1 : 0) : "0 ml")
    ));
    new Set([first, last]).forEach(function (time) {
      root.append(svg("text", { x: x(time), y: height - 6, "text-anchor": "middle" }, String(time)));
    });
    [[1, "solid"], [2, "dashed"]].forEach(function ([part, style]) {
      const known = visits.filter((visit) => visit[part] !== null);
      const points = known.map((visit) => `${x(visit[0])},${y(visit[part])}`).join(" ");
      root.append(svg("polyline", { points, class: "course " + style, stroke: color }));
      known.forEach(function (visit) {
        const look = { class: part === 2 ? "hollow" : "", fill: color, stroke: color };
        root.append(svg("circle", { cx: x(visit[0]), cy: y(visit[part]), r: 3.5, ...look }));
      });
    });
    return root;
  };
})();
