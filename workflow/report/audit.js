(function () {
  "use strict";
  // The picture grid: by id, by findings, by rating. Pictures of hidden cases are not loaded.
  var filter = document.getElementById("grid-filter"), kind = document.getElementById("grid-kind");
  var shown = document.getElementById("grid-shown");
  if (!filter) { return; }
  var tiles = Array.prototype.slice.call(document.querySelectorAll(".tile"));
  function fits(tile) {
    if (kind.value === "errors" && tile.dataset.errors === "0") { return false; }
    if (kind.value === "findings" && tile.dataset.errors === "0" && tile.dataset.warnings === "0") { return false; }
    if (kind.value === "unread" && tile.querySelector("img")) { return false; }
    if (kind.value === "rated" && !tile.querySelector("input:checked")) { return false; }
    return tile.dataset.words.indexOf(filter.value.trim().toLowerCase()) >= 0;
  }
  function apply() {
    var count = 0;
    tiles.forEach(function (tile) { tile.hidden = !fits(tile); count += tile.hidden ? 0 : 1; });
    shown.textContent = count + " of " + tiles.length + " cases";
  }
  filter.addEventListener("input", apply);
  kind.addEventListener("change", apply);
  apply();
})();
