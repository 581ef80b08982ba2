// What the review page knows, where it is, and who is told when that changes. Every other file adds to `posttx`.
(function () {
  "use strict";
  const posttx = window.posttx = {};
  const root = document.documentElement;
  const KEYS = ["cohort", "model", "filter", "case", "review", "view", "patient"];
  const VIEWS = ["compare", "patients"];
  const PICTURED = 1, THUMB = 2;

  posttx.make = function (tag, attributes, text) {
    const element = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => element.setAttribute(name, value));
    if (text !== undefined) { element.textContent = text; }
    return element;
  };
  posttx.labelled = function (text, control) {
    const label = posttx.make("label", {}, text + " ");
    label.append(control);
    return label;
  };
  posttx.options = function (select, pairs) {
    select.replaceChildren(...pairs.map(([value, text]) => posttx.make("option", { value }, text ?? value)));
    return select;
  };
  posttx.fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  posttx.byId = (id) => document.getElementById(id);
  posttx.say = function (text) { posttx.byId("message").textContent = text; };

  // Events: "change" (state, previous), "palette" (its name), "order" (the rows that previous and next walk).
  const listeners = {};
  posttx.on = function (event, action) { (listeners[event] = listeners[event] || []).push(action); };
  posttx.emit = function (event, ...told) { (listeners[event] || []).forEach((action) => action(...told)); };

  // Scripts beside the page hand over their content by calling one of these.
  const arrived = {};
  window.posttxCases = function (content) { posttx.data = content; };
  window.posttxImages = function (content) { arrived[["images", content.cohort, content.case].join("\t")] = content; };
  window.posttxLabels = function (content) {
    arrived[["labels", content.cohort, content.model, content.case].join("\t")] = content;
  };
  posttx.load = function (address) {
    return new Promise(function (resolve, reject) {
      const script = posttx.make("script", { src: address });
      script.onload = function () { script.remove(); resolve(); };
      script.onerror = function () { script.remove(); reject(new Error(address + " is not beside the page")); };
      document.head.append(script);
    });
  };
  function address(folder, parts, suffix) { return folder + "/" + parts.map(encodeURIComponent).join("/") + suffix; }
  async function content(folder, parts) {
    const key = [folder, ...parts].join("\t");
    await posttx.load(address(folder, parts, ".js"));
    const given = arrived[key];
    delete arrived[key];
    if (!given) { throw new Error(address(folder, parts, ".js") + " holds another case"); }
    return given;
  }
  posttx.imagesOf = (cohort, id) => content("images", [cohort, id]);
  posttx.labelsOf = (cohort, model, id) => content("labels", [cohort, model, id]);
  posttx.thumb = (cohort, model, id) => address("thumbs", [cohort, model, id], ".webp");

  // Rows of cases.js as objects, worst mean Dice first.
  const known = new Map();
  function row(values) {
    const classes = values[5].map((cells, i) => ({
      name: posttx.data.classes[i].name, dice: cells[0], state: posttx.data.states[cells[1]],
      ref: cells[2], pred: cells[3], smallMissed: cells[4], smallPresent: cells[5]
    }));
    return {
      case: values[0], patient: values[1], timepoint: values[2], mean: values[3],
      viewable: Boolean(values[4] & PICTURED), thumb: Boolean(values[4] & THUMB), classes
    };
  }
  posttx.rows = function (cohort, model) {
    const key = cohort + "/" + model;
    if (!known.has(key)) { known.set(key, ((posttx.data.cases[key] || {}).rows || []).map(row)); }
    return known.get(key);
  };
  const FAILS = {
    invented: (part) => part.state === "hallucinated",
    missed: (part) => part.state === "missed",
    low: (part) => part.state === "present" && part.dice !== null && part.dice < posttx.data.low_dice,
    small: (part) => part.smallMissed > 0
  };
  function halves(failure) { const at = failure.lastIndexOf(":"); return [failure.slice(0, at), failure.slice(at + 1)]; }
  posttx.fails = function (given, failure) {
    const [name, kind] = halves(failure);
    return given.classes.some((part) => part.name === name && Object.hasOwn(FAILS, kind) && FAILS[kind](part));
  };
  posttx.filtered = function (cohort, model, filter) {
    return posttx.rows(cohort, model).filter((given) => (filter || []).every((failure) => posttx.fails(given, failure)));
  };
  // Previous and next walk the list as it stands: its own search and order where it has said so.
  let order = null;
  posttx.setOrder = function (rows) { order = rows; posttx.emit("order", posttx.listed()); };
  posttx.inWorstOrder = function () {
    const worst = posttx.rows(posttx.state.cohort, posttx.state.model);
    return posttx.listed().map((one) => worst.indexOf(one)).every((place, i, places) => !i || places[i - 1] < place);
  };
  posttx.modelsOf = (cohort) => (posttx.data.cohorts.find((item) => item.name === cohort) || { models: [] }).models;
  posttx.listed = function () {
    const at = posttx.state;
    return order || posttx.filtered(at.cohort, at.model, at.filter);
  };

  posttx.viewable = () => posttx.listed().filter((row) => row.viewable);

  // Colours: two per class, in CSS as --class-<index>.
  posttx.color = function (name) {
    const found = posttx.data.classes.find((one) => one.name === name);
    return found ? (posttx.palette === "scheme" ? found.color : found.alternative) : "#888888";
  };
  posttx.setPalette = function (name) {
    posttx.palette = name;
    root.dataset.palette = name;
    posttx.data.classes.forEach((one, i) => root.style.setProperty("--class-" + i, posttx.color(one.name)));
    posttx.emit("palette", name);
  };

  // The address: key=value joined by &; what is not there is said and left out.
  function decoded(text) { try { return decodeURIComponent(text); } catch (error) { return ""; } }
  function parsed(hash) {
    const told = {};
    hash.replace(/^#/, "").split("&").forEach(function (pair) {
      const at = pair.indexOf("="), key = pair.slice(0, at);
      if (at > 0 && KEYS.includes(key)) { told[key] = pair.slice(at + 1); }
    });
    return told;
  }
  const encoded = (text) => encodeURIComponent(text).replace(/%3A/g, ":");
  posttx.address = function (state) {
    const pairs = [["cohort", encoded(state.cohort)], ["model", encoded(state.model)]];
    if (state.filter.length) { pairs.push(["filter", state.filter.map(encoded).join(",")]); }
    if (state.view === "case") { pairs.push(["case", encoded(state.case)]); }
    if (VIEWS.includes(state.view)) { pairs.push(["view", state.view]); }
    if (state.view === "patients" && state.patient) { pairs.push(["patient", encoded(state.patient)]); }
    return "#" + pairs.map((pair) => pair.join("=")).join("&");
  };
  function one(text, names, what, notes) {
    const wanted = decoded(text || "");
    if (text && !names.includes(wanted)) { notes.push(`There is no ${what} “${wanted || text}”.`); }
    return names.includes(wanted) ? wanted : names[0];
  }
  function failures(text, notes) {
    const names = posttx.data.classes.map((part) => part.name);
    return (text ? text.split(",").map(decoded) : []).filter(function (failure) {
      const [name, kind] = halves(failure);
      const there = names.includes(name) && Object.hasOwn(FAILS, kind);
      if (!there) { notes.push(`There is no failure “${failure}”.`); }
      return there;
    });
  }
  function resolved(told, notes) {
    const cohorts = posttx.data.cohorts;
    const cohort = one(told.cohort, cohorts.map((item) => item.name), "cohort", notes);
    const model = one(told.model, posttx.modelsOf(cohort), "model", notes);
    const state = { cohort, model, view: "list", case: null, filter: failures(told.filter, notes), patient: null };
    if (VIEWS.includes(told.view)) { state.view = told.view; }
    if (told.patient) { state.patient = decoded(told.patient); }
    const rows = posttx.filtered(cohort, model, state.filter);
    if (told.review === "worst") { told.case = encodeURIComponent((rows.find((item) => item.viewable) || { case: "" }).case); }
    if (told.case) { openCase(state, decoded(told.case), notes); }
    if (told.case === "") { notes.push("No case of this list has pictures to review."); }
    return state;
  }
  function openCase(state, id, notes) {
    const found = posttx.rows(state.cohort, state.model).find((item) => item.case === id);
    if (!found) { notes.push(`There is no case “${id}” of ${state.model} in ${state.cohort}.`); return; }
    if (!found.viewable) { notes.push(`${id} has no images in this report: only the worst and the best cases and those asked for do.`); return; }
    state.view = "case";
    state.case = id;
  }
  posttx.state = { cohort: "", model: "", view: "list", case: null, filter: [], patient: null };
  posttx.go = function (changes) {
    const state = Object.assign({}, posttx.state, changes);
    if (changes.case && changes.view === undefined) { state.view = "case"; }
    if (state.view !== "case") { state.case = null; }
    location.hash = posttx.address(state);
  };
  function follow() {
    const notes = [], before = posttx.state;
    const state = resolved(parsed(location.hash), notes);
    posttx.state = state;
    const moved = ["cohort", "model"].some((key) => state[key] !== before[key]);
    if (moved || state.filter.join() !== before.filter.join()) { order = null; }
    posttx.say(notes.join(" "));
    // what a link only asked for (the worst case) becomes an address of its own
    if (location.hash && location.hash !== posttx.address(state) && !notes.length) {
      history.replaceState(null, "", posttx.address(state));
    }
    posttx.emit("change", state, before);
  }
  posttx.start = function () {
    addEventListener("hashchange", follow);
    follow();
  };
})();
