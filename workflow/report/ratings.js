// The ratings of the audit's page.
(function () {
  "use strict";
  function each(selector, action, within) { Array.prototype.forEach.call((within || document).querySelectorAll(selector), action); }
  // Storage may be forbidden for files: then choices last as long as the page is open.
  var memory = {};
  function stored(name, value) {
    try {
      if (value !== undefined) { localStorage.setItem("posttx-" + name, value); }
      return localStorage.getItem("posttx-" + name);
    } catch (error) {
      if (value !== undefined) { memory[name] = value; }
      return memory[name] || null;
    }
  }

  // Ratings stay in this browser until they are exported: by run and rater, for all pages from disk share one storage.
  var RATINGS = ["", "keep", "fix", "exclude"];
  var rater = document.getElementById("rater"), summary = document.getElementById("rated"), ratings = {};
  function name() { return "ratings-" + document.body.dataset.run + "-" + (rater ? rater.value.trim() : ""); }
  function key(form) { return [form.dataset.cohort, form.dataset.case, form.dataset.model].join("\t"); }
  function plain(value) { return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {}; }
  // What is stored may be of another program, or torn: of each entry no more is taken than this page writes.
  function remembered() {
    var known = {}, found = {};
    try { found = plain(JSON.parse(stored(name()) || "{}")); } catch (error) { found = {}; }
    Object.keys(found).forEach(function (who) {
      var entry = plain(found[who]);
      if (RATINGS.indexOf(entry.rating) >= 0 && typeof entry.comment === "string") {
        known[who] = { rating: entry.rating, comment: entry.comment.slice(0, 500) };
      }
    });
    return known;
  }
  function own() {
    var keys = {};
    each("form.rating", function (form) { if (ratings[key(form)]) { keys[key(form)] = true; } });
    return Object.keys(keys).sort();
  }
  function count() {
    if (summary) { summary.textContent = own().length + " rated"; }
  }
  function fill() {
    ratings = remembered();
    each("form.rating", function (form) {
      var known = ratings[key(form)] || {};
      each("input[type=radio]", function (radio) { radio.checked = radio.value === known.rating; }, form);
      form.elements.comment.value = known.comment || "";
    });
    count();
  }
  if (rater) {
    rater.value = (stored("rater") || "").slice(0, 40);
    rater.addEventListener("input", function () { stored("rater", rater.value); fill(); });
  }
  each("form.rating", function (form) {
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("input", function () {
      var chosen = form.querySelector("input[type=radio]:checked");
      var rating = chosen ? chosen.value : "", comment = form.elements.comment.value;
      if (rating || comment) { ratings[key(form)] = { rating: rating, comment: comment }; } else { delete ratings[key(form)]; }
      stored(name(), JSON.stringify(ratings));
      count();
    });
  });
  fill();
  function click(id, action) { var element = document.getElementById(id); if (element) { element.addEventListener("click", action); } }
  click("export-ratings", function () {
    var lines = own().map(function (who) {
      var parts = who.split("\t"), known = ratings[who];
      return [parts[0], parts[1], known.rating, known.comment, parts[2], rater ? rater.value : ""].map(function (text) {
        return posttxCsv.guarded(text.replace(/\s+/g, " ").trim());
      }).join("\t");
    });
    posttxCsv.save("ratings.tsv", ["cohort\tcase\trating\tcomment\tmodel\trater"].concat(lines).join("\n") + "\n");
  });
  click("clear-ratings", function () {
    if (!confirm("Forget the ratings of this run and rater that this browser keeps?")) { return; }
    stored(name(), "{}");
    fill();
  });
})();
