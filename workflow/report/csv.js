/* CSV and TSV that pandas parses and a spreadsheet may open: no text of ours runs there as a formula. All pages save by it. */
const posttxCsv = (function () {
  "use strict";
  // What a spreadsheet would run gets a ' before it; a number stays one. posttx/csv_text.py does the same.
  const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  const NUMBER = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  function guarded(text) {
    return FORMULA.test(text) && !NUMBER.test(text) ? "'" + text : text;
  }

  /* The ' before what a spreadsheet would run is no part of a text: it comes and goes with the file. */
  function unguarded(text) {
    while (text.startsWith("'") && guarded(text.slice(1)) === text) { text = text.slice(1); }
    return text;
  }

  /* A cell: a number as JSON writes it, null and undefined empty, a text guarded, and quoted where it must be. */
  function cell(value) {
    if (value === null || value === undefined) { return ""; }
    if (typeof value === "number") { return String(value); }
    const safe = guarded(String(value));
    return /[",\r\n]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  function text(header, rows) {
    return [header].concat(rows).map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  /* Texts between tabs, as the pipeline reads ratings: nothing is quoted, so no text keeps a tab or the end of a line. */
  function tsv(header, rows) {
    const line = (row) => row.map((value) => guarded(value.replace(/[\t\r\n]+/g, " ").trim())).join("\t");
    return [header].concat(rows).map(line).join("\n") + "\n";
  }

  /* Offer a text as a file. */
  function save(name, content) {
    const link = document.createElement("a");
    link.download = name;
    link.href = URL.createObjectURL(new Blob([content], { type: "text/plain;charset=utf-8" }));
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  return { guarded, unguarded, text, tsv, save };
})();
