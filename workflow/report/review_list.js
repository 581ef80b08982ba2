// The list of cases: searched, filtered by failures, states and Dice, sorted, saved; previous and next walk it so.
(function () {
  "use strict";
  const posttx = window.posttx, make = posttx.make, fixed = posttx.fixed, labelled = posttx.labelled;
  const STATES = { present: "present", absent: "absent", unknown: "no reference" };
  const pane = posttx.byId("pane-list");
  let search, chips, part, state, rated, low, high, shown, clear, about, table, listed = "", ratings = {};

  // A class of a case in words: Dice where the reference has it and the model found some, else its state.
  function told(found, digits = 4) {
    if (found.state === "present") { return fixed(found.dice, digits); }
    return { hallucinated: "invented", missed: "missed", unknown: "no reference" }[found.state] || "–";
  }
  function volumes(found) {
    return [found.ref, found.pred].map((ml) => fixed(ml, 1)).join(" / ");
  }
  posttx.toldClass = told;
  posttx.fillClass = function (cell, found, text) {
    cell.dataset.class = found.name;
    const silent = text === "–";
    const looks = silent ? { class: "absent", "aria-hidden": "true" } : { class: "state-" + found.state };
    cell.append(make("span", looks, text));
    if (silent) { cell.append(make("span", { class: "hidden" }, found.state)); }
  };

  // The most frequent failures first: by scans, then share, then order of the classes (posttx/analysis/failures.py).
  const EXPOSED = {
    invented: (found) => found.state === "hallucinated" || found.state === "absent",
    missed: (found) => found.state === "present" || found.state === "missed",
    low: (found) => found.state === "present" || found.state === "missed",
    small: (found) => found.smallPresent > 0
  };
  posttx.failures = function (rows) {
    const found = [];
    posttx.data.failures.forEach(({ id, title }) => posttx.data.classes.forEach(function ({ name }, i) {
      const token = name + ":" + id, affected = rows.filter((row) => posttx.fails(row, token)).length;
      const exposed = rows.filter((row) => EXPOSED[id](row.classes[i])).length;
      if (affected) { found.push({ id, title, name, token, affected, of: exposed, place: i }); }
    }));
    const share = (one) => one.affected / one.of;
    return found.sort((one, other) =>
      other.affected - one.affected || share(other) - share(one) || one.place - other.place);
  };

  function searched(row, words) {
    const text = (row.case + " " + row.patient).toLowerCase();
    return words.every((word) => text.includes(word));
  }
  function inRange(value, from, to) {
    if (from === null && to === null) { return true; }
    return value !== null && (from === null || value >= from) && (to === null || value <= to);
  }
  // What this browser keeps of the scans that open in the viewer, by the rater who is named there.
  function ratingOf(row) {
    const at = posttx.state, known = ratings[posttx.store.key(at.cohort, row.case, at.model)];
    return known ? known.rating : "";
  }
  function ratingTold(row) {
    const found = posttx.store.RATINGS.find((one) => one.value === ratingOf(row));
    return found ? found.title : "";
  }
  const fitsRating = (row) => !rated.value || (row.viewable && Boolean(ratingOf(row)) === (rated.value === "yes"));
  const bound = (input) => (input.value === "" || !Number.isFinite(Number(input.value)) ? null : Number(input.value));
  function narrowed(rows) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const place = posttx.data.classes.findIndex((one) => one.name === part.value), from = bound(low), to = bound(high);
    return rows.filter(function (row) {
      const found = row.classes[place];
      return searched(row, words) && fitsRating(row) && inRange(found ? found.dice : row.mean, from, to) &&
        (!state.value || row.classes.some((one, i) => (place < 0 || i === place) && one.state === state.value));
    });
  }

  const mean = (row) => fixed(row.mean, 4);
  function nameColumns() {
    const text = (id, title, kind, read) => ({
      id, title, kind, value: (row) => row[id], fill: (cell, row) => { cell.textContent = read(row); }
    });
    const there = (row) => (row.viewable ? 0 : row.thumb ? 1 : 2);
    return [
      { id: "picture", title: "Image", kind: "name picture", value: there, fill: picture },
      { id: "case", title: "Case", kind: "name case", value: (row) => row.case, fill: link },
      text("patient", "Patient", "name patient", (row) => row.patient),
      text("timepoint", "Time", "number time", (row) => String(row.timepoint)),
      text("mean", "Mean Dice", "number mean", mean)
    ];
  }
  function classColumns() {
    const ml = shown.value === "ml";
    return posttx.data.classes.map(({ name, long_name }, i) => ({
      id: shown.value + ":" + name, title: name, kind: "number class",
      label: ml ? `${name}, ${long_name}: ml in reference / prediction` : `${name}, ${long_name}: Dice or state`,
      value: (row) => (ml ? row.classes[i].pred : row.classes[i].dice),
      fill: (cell, row) => posttx.fillClass(cell, row.classes[i], (ml ? volumes : told)(row.classes[i]))
    }));
  }
  const thumbOf = (row) => posttx.thumb(posttx.state.cohort, posttx.state.model, row.case);
  function picture(cell, row) {
    if (row.thumb) { cell.append(make("img", { src: thumbOf(row), alt: "", loading: "lazy" })); }
    if (!row.viewable) { cell.append(make("span", { class: "note" }, row.thumb ? "no viewer" : "no images")); }
  }
  function link(cell, row) {
    if (!row.viewable) { cell.append(make("span", {}, row.case)); return; }
    const href = posttx.address(Object.assign({}, posttx.state, { view: "case", case: row.case }));
    cell.append(make("a", { href, tabindex: "-1" }, row.case));
  }
  const FILE = {
    dice: "dice", state: "state", volume_ref_ml: "ref", volume_pred_ml: "pred", small_missed: "smallMissed",
    small_present: "smallPresent"
  };
  // Every column of the file holds a number or a word of its own, as the pipeline's tables do.
  function file() {
    const columns = ["case", "patient", "timepoint"].map((name) => [name, (row) => row[name]]);
    columns.push(["mean_dice", (row) => row.mean], ["convention", () => posttx.data.convention]);
    posttx.data.classes.forEach(function ({ name }, i) {
      Object.entries(FILE).forEach(([title, key]) => columns.push([`${title}_${name}`, (row) => row.classes[i][key]]));
    });
    return columns;
  }

  const select = (id, options) => posttx.options(make("select", { id }), options);
  const range = (id) => make("input", { id, type: "number", min: "0", max: "1", step: "0.05" });
  function build() {
    search = make("input", { id: "list-search", type: "search", autocomplete: "off", maxlength: "300" });
    chips = make("div", { class: "chips", role: "group", "aria-label": "Only scans with these failures" });
    part = select("list-class", [["", "mean of a scan"], ...posttx.data.classes.map(({ name }) => [name])]);
    state = select("list-state", [["", "any"], ...Object.entries(STATES)]);
    rated = select("list-rated", [["", "any"], ["no", "not rated"], ["yes", "rated"]]);
    low = range("list-low");
    high = range("list-high");
    shown = select("list-shown", [["dice", "Dice"], ["ml", "volumes, ml"]]);
    clear = make("button", { type: "button", id: "list-clear" }, "Clear filters");
    about = make("span", { class: "note" });
    const form = make("form", { class: "filters", role: "search", "aria-label": "Cases" });
    form.append(
      labelled("Search", search), labelled("Class", part), labelled("State", state), labelled("Dice from", low),
      labelled("to", high), labelled("Rating", rated), labelled("Show", shown), clear
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", function (event) {
      if (event.target === shown) { table.columns(columns()); }
      refresh();
    });
    clear.addEventListener("click", function () {
      forget();
      if (posttx.state.filter.length) { posttx.go({ filter: [] }); } else { refresh(); }
    });
    table = posttx.table({
      caption: "Cases", unit: "scans", empty: "No scan fits the filter.", columns: [], file,
      name: () => `cases-${posttx.state.cohort}-${posttx.state.model}`,
      total: () => posttx.rows(posttx.state.cohort, posttx.state.model).length,
      opens: (row) => row.viewable || posttx.say(`${row.case} has no images in this report.`),
      open: (row) => posttx.go({ view: "case", case: row.case }),
      picture: (row) => (row.thumb ? thumbOf(row) : ""),
      sorted: posttx.setOrder
    });
    table.bar.append(about);
    pane.append(form, chips, table.element);
    table.columns(columns());
  }
  const rating = {
    id: "rating", title: "Rating", kind: "name rating", value: (row) => ratingTold(row) || null,
    fill: (cell, row) => { cell.textContent = ratingTold(row); }
  };
  const columns = () => [...nameColumns(), ...classColumns(), rating];
  function forget() {
    search.value = part.value = state.value = rated.value = low.value = high.value = "";
  }
  function refresh() {
    ratings = posttx.store.all();
    const at = posttx.state, rows = narrowed(posttx.filtered(at.cohort, at.model, at.filter));
    clear.disabled = !at.filter.length && ![search, part, state, rated, low, high].some((input) => input.value !== "");
    table.show(rows);
  }

  const LACK = { invented: "without it", missed: "with it", low: "with it", small: "with such a lesion" };
  function drawChips(rows, filter) {
    chips.replaceChildren(...posttx.failures(rows).map(function (one) {
      const on = filter.includes(one.token);
      const looks = { type: "button", "aria-pressed": String(on), "data-token": one.token };
      const chip = make("button", looks, `${one.name} ${one.title} (${one.affected})`);
      chip.title = `${one.affected} of ${one.of} scans ${LACK[one.id]}`;
      chip.prepend(posttx.swatch(one.name));
      chip.addEventListener("click", function () {
        posttx.go({ filter: on ? filter.filter((token) => token !== one.token) : filter.concat(one.token) });
      });
      return chip;
    }));
  }

  function summary(rows) {
    const scored = rows.filter((row) => row.classes.some((found) => found.state !== "unknown")).length;
    const patients = new Set(rows.map((row) => row.patient)).size, opened = rows.filter((row) => row.viewable).length;
    const parts = [`${rows.length} scans of ${patients} patients`];
    parts.push(`mean Dice by the convention “${posttx.data.convention}”`);
    if (scored < rows.length) { parts.push(`${rows.length - scored} without a reference`); }
    parts.push(opened ? `${opened} open in the viewer: Enter` : "none has images here");
    return rows.length ? parts.join("; ") + "." : "There is no case.";
  }
  function show(at, previous) {
    const rows = posttx.rows(at.cohort, at.model);
    const focused = document.activeElement && document.activeElement.dataset.token;
    const elsewhere = ["compare", "patients"].includes(previous.view);
    // a link from elsewhere lists what it says and no less
    if (at.cohort !== listed || (elsewhere && ["list", "case"].includes(at.view))) { forget(); }
    listed = at.cohort;
    // from case to case the list stays as it was left: a case that is rated meanwhile keeps its place
    const same = ["cohort", "model", "filter"].every((name) => String(at[name]) === String(previous[name]));
    if (at.view === "case" && same && !elsewhere) { table.select((row) => row.case === at.case, false); return; }
    about.textContent = summary(rows);
    drawChips(rows, at.filter);
    refresh();
    if (at.view === "case") { table.select((row) => row.case === at.case, false); }
    if (at.view !== "list") { return; }
    const chip = Array.from(chips.children).find((one) => one.dataset.token === focused);
    // the pane itself is shown after this
    queueMicrotask(function () {
      if (chip) { chip.focus(); }
      if (previous.view === "case") { table.select((row) => row.case === previous.case, true); }
    });
  }

  // Down and / from anywhere in the list lead into it.
  document.addEventListener("keydown", function (event) {
    const typing = posttx.state.view !== "list" || event.target !== document.body;
    if (typing || event.ctrlKey || event.altKey || event.metaKey) { return; }
    if (event.key === "ArrowDown") { event.preventDefault(); table.focus(); }
    if (event.key === "/") { event.preventDefault(); search.focus(); }
  });
  posttx.on("ready", build);
  posttx.on("change", show);
})();
