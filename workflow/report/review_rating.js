// The rating of the case that is shown: five ratings, reasons, a comment, and how far the list is rated.
(function () {
  "use strict";
  const posttx = window.posttx, store = posttx.store, exchange = posttx.exchange, byId = posttx.byId;
  const rating = posttx.rating = {};
  const note = (text) => { byId("store-note").textContent = text; };
  const shown = () => !byId("stage").classList.contains("loading");

  // A key pressed before the case is seen rates nothing.
  rating.choose = function (value) {
    if (posttx.state.view !== "case") { return; }
    if (!shown()) { posttx.notice("Not rated: the case is not shown yet."); return; }
    const known = store.get(posttx.state), taken = known.rating === value;
    store.set(posttx.state, { ...known, rating: taken ? "" : value, reasons: [] });
    if (!taken && byId("go-on").checked) { posttx.neighbour(1); }
  };
  function toggleReason(reason) {
    const known = store.get(posttx.state), had = known.reasons.includes(reason);
    store.set(posttx.state, { ...known, reasons: had ? known.reasons.filter((one) => one !== reason) : [...known.reasons, reason] });
  }
  function fill() {
    const at = posttx.state;
    if (at.view !== "case") { return; }
    const known = store.get(at), chosen = store.RATINGS.find((one) => one.value === known.rating);
    byId("rates").querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === known.rating)));
    const reasons = chosen ? [...new Set([...chosen.reasons, ...known.reasons])] : [];
    byId("reasons").hidden = !reasons.length;
    byId("reasons").replaceChildren(...reasons.map((reason) => posttx.chip(reason, "", known.reasons.includes(reason), () => toggleReason(reason))));
    if (document.activeElement !== byId("comment")) { byId("comment").value = known.comment; }
    byId("comment").dataset.for = store.key(at.cohort, at.case, at.model);
    if (document.activeElement !== byId("rater")) { byId("rater").value = store.rater(); }
    const rows = posttx.viewable();
    byId("progress").textContent = `${store.count(at, rows)} of ${rows.length} rated`;
    if (!posttxKept.lasts()) { note("This browser keeps nothing for pages from disk: export before you close the page."); }
  }
  function importFile(file) {
    file.text().then((text) => note(exchange.read(text))).catch(function (error) {
      note(`${file.name} was not taken over: ${error.message}.`);
    });
  }

  store.RATINGS.forEach(function ({ value, title, key }) {
    const button = posttx.chip(title, key, false, () => rating.choose(value));
    button.dataset.value = value;
    byId("rates").append(button);
  });
  byId("comment").addEventListener("input", function () {
    store.set(posttx.state, { ...store.get(posttx.state), comment: this.value });
  });
  byId("rater").addEventListener("change", function () { store.setRater(this.value); });
  byId("go-on").checked = posttxKept.get("go-on") === "1";
  byId("go-on").addEventListener("change", function () { posttxKept.set("go-on", this.checked ? "1" : ""); });
  byId("export-tsv").addEventListener("click", () => posttxCsv.save("ratings.tsv", exchange.tsv()));
  byId("export-json").addEventListener("click", () => posttxCsv.save("ratings.json", exchange.json()));
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", function () {
    if (this.files[0]) { importFile(this.files[0]); }
    this.value = "";
  });
  byId("forget").addEventListener("click", function () {
    if (confirm("Forget the ratings of this run and rater that this browser keeps?")) { store.forget(); }
  });
  posttx.on("ready", function () { posttx.on("change", function () { byId("comment").blur(); fill(); }); });
  posttx.on("ratings", fill);
  posttx.on("order", fill);
})();
