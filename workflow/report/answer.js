// The first screen: which model on which cohort is shown, its links, the palette, keys, ratings of this browser.
(function () {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const each = (selector, action) => document.querySelectorAll(selector).forEach(action);

  // One model on one cohort is shown, or all of them: then the answer is that of the first.
  const answers = [...document.querySelectorAll(".answer")], which = byId("which");
  let current = answers[0];
  function show(key) {
    current = answers.find((answer) => answer.dataset.block === key) || answers[0];
    answers.forEach((answer) => { answer.hidden = answer !== current; });
    each("[data-block]:not(.answer)", (block) => { block.hidden = key !== "" && block.dataset.block !== key; });
    if (!current) { return; }
    each("nav a[data-to]", (link) => {
      const { casesLink, patientsLink, compare } = current.dataset;
      link.href = { cases: casesLink, patients: patientsLink, compare }[link.dataset.to];
      const counted = { cases: current.dataset.cases, patients: current.dataset.patients }[link.dataset.to];
      if (counted) { link.querySelector(".n").textContent = counted; }
    });
  }
  if (which) { which.addEventListener("change", () => show(which.value)); }
  show(which ? which.value : answers[0] ? answers[0].dataset.block : "");

  // What is asked for by its address is shown, whichever model is chosen.
  function decoded(text) { try { return decodeURIComponent(text); } catch (error) { return text; } }
  function shownFor() {
    const target = location.hash && byId(decoded(location.hash.slice(1)));
    const block = target && target.closest("[data-block][hidden]");
    if (block && which) { which.value = block.dataset.block; show(which.value); target.scrollIntoView(); }
  }
  addEventListener("hashchange", shownFor);
  shownFor();

  // Two palettes; the scheme's colours are those of the configuration.
  const palette = byId("palette");
  function paint(name) {
    root.dataset.palette = name;
    palette.setAttribute("aria-pressed", String(name !== "scheme"));
  }
  paint(posttxKept.palette(root.dataset.palette));
  palette.addEventListener("click", () => paint(posttxKept.nextPalette(root.dataset.palette)));

  byId("print").addEventListener("click", () => window.print());
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key.toLowerCase() !== "r" || typing || event.ctrlKey || event.metaKey || event.altKey) { return; }
    const button = current && current.querySelector("a.button");
    if (button) { location.href = button.href; }
  });

  // How many of the worst scans this browser's reader has rated, by the store of the review page.
  const ratings = posttxKept.ratings(() => document.body.dataset.run);
  function count() {
    const known = ratings.all();
    each("[data-rated]", (check) => {
      const { cohort, model } = check.dataset, cases = JSON.parse(check.dataset.rated);
      const number = cases.filter((name) => (known[posttxKept.key(cohort, name, model)] || {}).rating).length;
      check.querySelector(".word").textContent = `${number} of ${cases.length}`;
      check.className = number ? "good" : "open";
    });
  }
  count();
  addEventListener("pageshow", count);
})();
