// The ratings of the audit's page: of the data, so under no model.
(function () {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const run = document.body.dataset.run, forms = [...document.querySelectorAll("form.rating")];
  const store = posttxKept.ratings(() => run, ["keep", "fix", "exclude"]);
  const key = ({ dataset }) => posttxKept.key(dataset.cohort, dataset.case, "");

  // Of what this browser keeps, the cases of this page: [cohort, case, entry].
  function rated() {
    const known = store.all();
    return forms.map((form) => [form.dataset.cohort, form.dataset.case, known[key(form)]]).filter((one) => one[2]);
  }
  function count() { byId("rated").textContent = `${rated().length} rated`; }
  function fill() {
    const known = store.all();
    forms.forEach(function (form) {
      const { rating, comment } = known[key(form)] || { rating: "", comment: "" }, input = form.elements.comment;
      form.querySelectorAll("input[type=radio]").forEach((radio) => { radio.checked = radio.value === rating; });
      if (input !== document.activeElement) { input.value = comment; }
    });
    count();
  }

  byId("rater").value = posttxKept.rater();
  byId("rater").addEventListener("input", function () { posttxKept.setRater(this.value); fill(); });
  forms.forEach(function (form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", function () {
      store.merge({ [key(form)]: { rating: form.elements.rating.value, comment: form.elements.comment.value } });
      count();
    });
  });
  addEventListener("storage", (event) => { if (store.concerned(event)) { fill(); } });
  byId("export-ratings").addEventListener("click", function () {
    const rater = posttxKept.rater(), header = ["cohort", "case", "rating", "comment", "model", "rater"];
    const rows = rated().map(([cohort, id, { rating, comment }]) => [cohort, id, rating, comment, "", rater]);
    posttxCsv.save("ratings.tsv", posttxCsv.tsv(header, rows));
  });
  byId("clear-ratings").addEventListener("click", function () {
    if (confirm("Forget the ratings of this run and rater that this browser keeps?")) { store.forget(); fill(); }
  });
  fill();
})();
