// Ratings as files: what the pipeline's `exclude:` reads (TSV), and the same as JSON; either is read back.
(function () {
  "use strict";
  const posttx = window.posttx, store = posttx.store;
  const exchange = posttx.exchange = {};
  const COLUMNS = ["cohort", "case", "rating", "comment", "model", "rater", "reasons", "run"];
  const NEEDED = ["cohort", "case", "rating"];

  exchange.rows = function () {
    const known = store.all();
    return Object.keys(known).sort().map(function (key) {
      const [cohort, id, model] = key.split("\t");
      return { cohort, case: id, ...known[key], model, rater: store.rater(), run: posttx.data.run };
    });
  };
  exchange.tsv = function () {
    const rows = exchange.rows().map((row) => ({ ...row, reasons: row.reasons.join("; ") }));
    return posttxCsv.tsv(COLUMNS, rows.map((row) => COLUMNS.map((name) => row[name])));
  };
  exchange.json = () => JSON.stringify({ schema: 1, run: posttx.data.run, rater: store.rater(), ratings: exchange.rows() }, null, 1) + "\n";

  function fromTsv(text) {
    const [first, ...lines] = text.split(/\r?\n/).filter((line) => line.trim());
    const header = (first || "").split("\t").map((name) => name.trim());
    if (!NEEDED.every((name) => header.includes(name))) { throw new Error(`its columns are ${header.join(", ").slice(0, 80)}`); }
    return lines.map(function (line) {
      const cells = line.split("\t").map((cell) => posttxCsv.unguarded(cell.trim()));
      const row = Object.fromEntries(header.map((name, i) => [name, cells[i] || ""]));
      return { ...row, reasons: (row.reasons || "").split("; ").filter(Boolean) };
    });
  }
  function fromJson(text) {
    const content = JSON.parse(text);
    if (!content || !Array.isArray(content.ratings)) { throw new Error("it holds no ratings"); }
    return content.ratings.filter((row) => row !== null && typeof row === "object");
  }
  const told = (value) => (typeof value === "string" ? value : "");
  const many = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

  // Take over what concerns this report, and say what was not and why. The file is right where both rated a case.
  exchange.read = function (text) {
    const clean = text.replace(/^\ufeff/, "");
    const rows = clean.trimStart().startsWith("{") ? fromJson(clean) : fromTsv(clean);
    const taken = new Map(), left = { run: 0, place: 0, value: 0 };
    let changed = 0;
    rows.forEach(function (row) {
      const entry = store.checked({ ...row, comment: told(row.comment) }), rater = told(row.rater).trim().slice(0, 40);
      const [cohort, id, model] = [told(row.cohort), told(row.case), told(row.model)];
      if (row.run && row.run !== posttx.data.run) { left.run += 1; return; }
      if (!posttx.rows(cohort, model).some((known) => known.case === id)) { left.place += 1; return; }
      if (!entry) { left.value += 1; return; }
      if (!taken.has(rater)) { taken.set(rater, {}); }
      taken.get(rater)[store.key(cohort, id, model)] = entry;
    });
    taken.forEach(function (entries, rater) {
      const known = store.all(rater);
      changed += Object.keys(entries).filter((key) => known[key] && JSON.stringify(known[key]) !== JSON.stringify(entries[key])).length;
      store.merge(entries, rater);
    });
    const raters = [...taken.keys()];
    if (raters.length === 1 && raters[0] !== store.rater() && !Object.keys(store.all()).length) { store.setRater(raters[0]); }
    return summary(taken, changed, left);
  };
  function summary(taken, changed, left) {
    const parts = [...taken].map(([rater, entries]) => `${many(Object.keys(entries).length, "rating")} of ${rater || "a rater without a name"} taken over`);
    if (changed) { parts.push(`${changed} of them replaced another`); }
    if (left.run) { parts.push(`${many(left.run, "rating")} left out: made on another run, whose segmentations may differ`); }
    if (left.place) { parts.push(`${many(left.place, "rating")} left out: this report has no such cohort, model and case`); }
    if (left.value) { parts.push(`${many(left.value, "line")} left out: no rating that this page knows`); }
    return (parts.length ? parts.join("; ") : "The file holds no ratings") + ".";
  }
})();
