// The frame of the review page: tabs, cohort and model, theme and palette. It runs last and starts the rest.
(function () {
  "use strict";
  const posttx = window.posttx, byId = posttx.byId;
  const PANES = ["list", "case", "compare", "patients"];

  const options = (select, names) => posttx.options(select, names.map((name) => [name]));
  function show(state) {
    options(byId("model"), posttx.modelsOf(state.cohort));
    byId("cohort").value = state.cohort;
    byId("model").value = state.model;
    PANES.forEach((name) => { byId("pane-" + name).hidden = name !== state.view; });
    document.querySelectorAll("nav a[data-view]").forEach(function (link) {
      const view = link.dataset.view;
      link.href = posttx.address(Object.assign({}, state, { view, case: null, patient: null }));
      if (view === state.view) { link.setAttribute("aria-current", "page"); } else { link.removeAttribute("aria-current"); }
    });
    byId("count").textContent = String(posttx.rows(state.cohort, state.model).length);
    document.body.dataset.view = state.view;
  }
  posttx.togglePalette = () => posttx.setPalette(posttxKept.nextPalette(posttx.palette));
  function showPalette(name) {
    byId("palette").setAttribute("aria-pressed", String(name !== "scheme"));
  }

  function begin() {
    options(byId("cohort"), posttx.data.cohorts.map((item) => item.name));
    byId("cohort").addEventListener("change", function () {
      const cohort = this.value, models = posttx.modelsOf(cohort), model = posttx.state.model;
      const view = posttx.state.view === "case" ? "list" : posttx.state.view;
      posttx.go({ cohort, model: models.includes(model) ? model : models[0] || "", view, patient: null });
    });
    byId("model").addEventListener("change", function () { posttx.go({ model: this.value }); });
    byId("palette").addEventListener("click", posttx.togglePalette);
    byId("skip").addEventListener("click", function (event) { event.preventDefault(); byId("main").focus(); });
    posttxKept.theme(byId("theme"));
    posttx.on("palette", showPalette);
    posttx.setPalette(posttxKept.palette(posttx.data.palette));
    posttx.on("change", show);
    posttx.emit("ready");
    posttx.start();
    document.body.dataset.ready = "1";
  }
  posttx.load("data/cases.js").then(begin, function (error) { posttx.say(`No cases can be shown: ${error.message}.`); });
})();
