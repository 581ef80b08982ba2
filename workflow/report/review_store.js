// The ratings of the review: what may be said of a case, and who is told when a rating changes.
(function () {
  "use strict";
  const posttx = window.posttx;
  const store = posttx.store = {};

  // Values of the exported file, what they say, their keys and the reasons a reader may tick.
  store.RATINGS = [
    { value: "accept", title: "accept", key: "a", reasons: [] },
    { value: "edit", title: "small edits", key: "s", reasons: ["boundary", "small lesion missed", "small false lesion", "wrong class"] },
    { value: "redo", title: "redo", key: "d", reasons: ["lesion missed", "false lesion", "wrong class", "wrong place"] },
    { value: "reference", title: "reference wrong", key: "w", reasons: ["lesion missing", "lesion too much", "boundary", "wrong class"] },
    { value: "exclude", title: "exclude scan", key: "x", reasons: ["motion", "artefact", "wrong contrast", "poor registration", "other disease"] }
  ];
  const kept = posttxKept.ratings(() => posttx.data.run, store.RATINGS.map((one) => one.value));

  store.key = posttxKept.key;
  store.checked = kept.checked;
  store.all = kept.all;
  store.rater = posttxKept.rater;
  store.setRater = function (name) { posttxKept.setRater(name); posttx.emit("ratings"); };
  store.merge = function (changes, rater) { kept.merge(changes, rater); posttx.emit("ratings"); };
  store.get = (at) => store.all()[store.key(at.cohort, at.case, at.model)] || { rating: "", comment: "", reasons: [] };
  store.set = (at, entry) => store.merge({ [store.key(at.cohort, at.case, at.model)]: entry });
  store.forget = function () { kept.forget(); posttx.emit("ratings"); };
  // Another window of this report has rated.
  addEventListener("storage", function (event) {
    if (posttx.data && kept.concerned(event)) { posttx.emit("ratings"); }
  });
  // How many of the given rows of a cohort and model are rated.
  store.count = function (at, rows) {
    const known = store.all();
    return rows.filter((row) => (known[store.key(at.cohort, row.case, at.model)] || {}).rating).length;
  };
})();
