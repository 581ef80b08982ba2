/* CSV that pandas parses and a spreadsheet may open: no text of ours runs there as a formula. Both pages save by it. */
const posttxCsv = (function () {
  "use strict";
  // What a spreadsheet would run gets a ' before it; a number stays one. posttx/csv_text.py does the same.
  const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  const NUMBER = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  function guarded(text) {
    return FORMULA.test(text) && !NUMBER.test(text) ? "'" + text : text;
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

  return { guarded, text, save };
})();
