// The frame of the review page: tabs, cohort and model, theme and palette. It runs last and starts the rest.
(function () {
  "use strict";
  const posttx = window.posttx, byId = posttx.byId, root = document.documentElement;
  const PANES = ["list", "case", "compare", "patients"];

  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function showTheme(theme) {
    if (theme === "dark" || theme === "light") { root.dataset.theme = theme; }
    byId("theme").textContent = dark() ? "Light" : "Dark";
  }
  function options(select, names) {
    select.replaceChildren(...names.map((name) => posttx.make("option", { value: name }, name)));
  }
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
  posttx.togglePalette = function () {
    const next = posttx.palette === "scheme" ? "okabe-ito" : "scheme";
    posttx.remember("palette", next);
    posttx.setPalette(next);
  };
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
    byId("theme").addEventListener("click", function () {
      const next = dark() ? "light" : "dark";
      posttx.remember("theme", next);
      showTheme(next);
    });
    byId("skip").addEventListener("click", function (event) { event.preventDefault(); byId("main").focus(); });
    showTheme(posttx.remembered("theme"));
    posttx.on("palette", showPalette);
    const kept = posttx.remembered("palette");
    posttx.setPalette(["scheme", "okabe-ito"].includes(kept) ? kept : posttx.data.palette);
    posttx.on("change", show);
    posttx.emit("ready");
    posttx.start();
    document.body.dataset.ready = "1";
  }
  posttx.load("data/cases.js").then(begin, function (error) { posttx.say(`No cases can be shown: ${error.message}.`); });
})();
