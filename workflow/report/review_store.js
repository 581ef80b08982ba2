// What this browser keeps: choices of looks for every page, ratings by run, model and rater.
(function () {
  "use strict";
  const posttx = window.posttx;
  const store = posttx.store = {};
  // Storage may be forbidden for files: then what is kept lasts as long as the page is open.
  const memory = {};
  posttx.remember = function (name, value) {
    try {
      localStorage.setItem("posttx-" + name, value);
      delete memory[name];
    } catch (error) { memory[name] = value; }
  };
  posttx.remembered = function (name) {
    if (Object.hasOwn(memory, name)) { return memory[name]; }
    try { return localStorage.getItem("posttx-" + name); } catch (error) { return null; }
  };
  store.lasts = () => Object.keys(memory).length === 0;

  // Values of the exported file, what they say, their keys and the reasons a reader may tick.
  store.RATINGS = [
    { value: "accept", title: "accept", key: "a", reasons: [] },
    { value: "edit", title: "small edits", key: "s", reasons: ["boundary", "small lesion missed", "small false lesion", "wrong class"] },
    { value: "redo", title: "redo", key: "d", reasons: ["lesion missed", "false lesion", "wrong class", "wrong place"] },
    { value: "reference", title: "reference wrong", key: "w", reasons: ["lesion missing", "lesion too much", "boundary", "wrong class"] },
    { value: "exclude", title: "exclude scan", key: "x", reasons: ["motion", "artefact", "wrong contrast", "poor registration", "other disease"] }
  ];
  const VALUES = ["", ...store.RATINGS.map((one) => one.value)];
  const LONGEST = 500, RATER = 40;

  store.rater = () => (posttx.remembered("rater") || "").trim().slice(0, RATER);
  store.setRater = function (name) { posttx.remember("rater", name.trim().slice(0, RATER)); posttx.emit("ratings"); };
  store.key = (cohort, id, model) => [cohort, id, model].join("\t");
  const shelf = (rater) => "ratings-" + posttx.data.run + "-" + rater;

  // What is stored may be of another program, or torn: of each entry no more is taken than this page writes.
  const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
  const oneLine = (text) => text.replace(/\s+/g, " ").trim();
  // A ' before what a spreadsheet would run is no part of a text: it comes and goes with the exported file.
  store.unguarded = function (text) {
    while (text.startsWith("'") && posttxCsv.guarded(text.slice(1)) === text) { text = text.slice(1); }
    return text;
  };
  store.checked = function (entry) {
    const { rating, comment, reasons } = object(entry);
    if (!VALUES.includes(rating) || typeof comment !== "string") { return null; }
    const told = Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === "string") : [];
    const made = {
      rating, comment: store.unguarded(oneLine(comment)).slice(0, LONGEST),
      reasons: told.map((reason) => oneLine(reason.replace(/;/g, ",")).slice(0, LONGEST)).filter(Boolean)
    };
    return made.rating || made.comment ? made : null;
  };
  store.all = function (rater) {
    let found = {};
    try { found = object(JSON.parse(posttx.remembered(shelf(rater ?? store.rater())) || "{}")); } catch (error) { found = {}; }
    const known = {};
    Object.keys(found).forEach(function (key) {
      const entry = store.checked(found[key]);
      if (entry && key.split("\t").length === 3) { known[key] = entry; }
    });
    return known;
  };
  // Read again before it is written: another window may have rated meanwhile.
  store.merge = function (changes, rater) {
    const who = rater ?? store.rater(), known = store.all(who);
    Object.entries(changes).forEach(function ([key, entry]) {
      const kept = entry && store.checked(entry);
      if (kept) { known[key] = kept; } else { delete known[key]; }
    });
    posttx.remember(shelf(who), JSON.stringify(known));
    posttx.emit("ratings");
  };
  store.get = (at) => store.all()[store.key(at.cohort, at.case, at.model)] || { rating: "", comment: "", reasons: [] };
  store.set = (at, entry) => store.merge({ [store.key(at.cohort, at.case, at.model)]: entry });
  store.forget = function () { posttx.remember(shelf(store.rater()), "{}"); posttx.emit("ratings"); };
  // Another window of this report has rated.
  addEventListener("storage", function (event) {
    if (posttx.data && event.key === "posttx-" + shelf(store.rater())) { posttx.emit("ratings"); }
  });
  // How many of the given rows of a cohort and model are rated.
  store.count = function (at, rows) {
    const known = store.all();
    return rows.filter((row) => (known[store.key(at.cohort, row.case, at.model)] || {}).rating).length;
  };
})();
