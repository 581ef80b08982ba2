(function () {
  "use strict";
  function each(selector, action, within) { Array.prototype.forEach.call((within || document).querySelectorAll(selector), action); }
  function make(tag, attributes, text) {
    var element = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  posttxKept.theme(document.getElementById("theme"));

  // Tables: sort by any column, filter, choose columns, save as CSV. Without DataTables they stay plain tables.
  function shown(cell) {
    var copy = cell.cloneNode(true);
    each(".interval, .permalink", function (part) { part.remove(); }, copy);
    return copy.textContent.replace(/\s+/g, " ").trim();
  }
  function value(cell) {
    var text = shown(cell);
    if (text === "\u2013") { return null; }
    var plain = text.replace(/,/g, "");
    if (!cell.classList.contains("number") || plain === "" || isNaN(Number(plain))) { return text; }
    return Number(cell.dataset.order || plain);
  }
  // The file that the pipeline wrote stands beside a table that has one; of any other each number gets its own column.
  function csv(heads, rows) {
    var header = [], ends = heads.map(function (head, i) { return rows.some(function (row) { return row[i].dataset.low; }); });
    heads.forEach(function (head, i) {
      header.push(shown(head));
      if (ends[i]) { header.push(shown(head) + " low", shown(head) + " high"); }
    });
    return posttxCsv.text(header, rows.map(function (row) {
      return [].concat.apply([], row.map(function (cell, i) {
        var low = cell.dataset.low, high = cell.dataset.high;
        return [value(cell)].concat(ends[i] ? [low ? Number(low) : null, high ? Number(high) : null] : []);
      }));
    }));
  }
  function listed(cells) { return Array.prototype.slice.call(cells); }
  // Of a table without a file: the rows that the filter leaves, in their order, with the columns that are hidden.
  function saveButton(table) {
    var save = make("button", { type: "button", "aria-label": "Save this table as CSV: " + shown(table.caption) }, "CSV");
    var file = table.closest(".table").querySelector("script.csv"), heads = listed(table.tHead.rows[0].cells);
    var rows = listed(table.tBodies[0].rows), cells = rows.map(function (row) { return listed(row.cells); });
    save.addEventListener("click", function () {
      var api = window.DataTable && DataTable.isDataTable(table) ? new DataTable.Api(table) : null;
      var left = api ? api.rows({ search: "applied", order: "applied" }).nodes().toArray() : rows;
      var content = file ? JSON.parse(file.textContent) : csv(heads, left.map(function (row) { return cells[rows.indexOf(row)]; }));
      posttxCsv.save(table.dataset.name + ".csv", content);
    });
    return save;
  }
  function columnChoice(api) {
    var choice = make("details");
    choice.appendChild(make("summary", {}, "Columns"));
    api.columns().every(function () {
      var column = this, label = make("label"), box = make("input", { type: "checkbox" });
      box.checked = true;
      box.addEventListener("change", function () { column.visible(box.checked); });
      label.appendChild(box);
      label.appendChild(document.createTextNode(" " + shown(column.header())));
      choice.appendChild(label);
    });
    return choice;
  }
  var words = { search: "Filter ", info: "_TOTAL_ rows", infoEmpty: "no rows", infoFiltered: "of _MAX_", lengthMenu: "_MENU_ per page", zeroRecords: "No row fits the filter." };
  var paged = [];
  function build(table) {
    var rows = table.tBodies[0].rows.length, bar = make("div", { "class": "tools" }), holder = table.closest(".table");
    bar.appendChild(saveButton(table));
    if (window.DataTable && !table.classList.contains("plain") && rows > 1) {
      var api = new DataTable(table, { order: [], autoWidth: false, language: words, paging: rows > 30, pageLength: 25, searching: rows > 8, info: rows > 8 });
      if (rows > 30) { paged.push(api); }
      if (api.columns().count() > 5) { bar.appendChild(columnChoice(api)); }
    }
    holder.append(bar);
  }
  each("table.data", function (table) {
    if (table.tBodies[0].querySelector(".nothing")) { return; }
    // What is folded is built when it is opened: most of it never is.
    var folded = table.closest("details:not([open])");
    if (folded) { folded.addEventListener("toggle", function () { build(table); }, { once: true }); } else { build(table); }
  });

  each("button[data-save]", function (save) {
    save.addEventListener("click", function () { posttxCsv.save(save.dataset.name, document.getElementById(save.dataset.save).textContent); });
  });

  // A permalink into something folded or filtered away opens it.
  function decoded(text) { try { return decodeURIComponent(text); } catch (error) { return text; } }
  function reveal() {
    var target = location.hash && document.getElementById(decoded(location.hash.slice(1)));
    for (var part = target; part; part = part.parentElement) {
      if (part.tagName === "DETAILS") { part.open = true; }
      if (part.hidden && !part.dataset.block) { part.hidden = false; }
    }
    if (target) { target.scrollIntoView(); }
  }
  addEventListener("hashchange", reveal);
  reveal();

  // The entry of the section in view is marked in the contents.
  if (window.IntersectionObserver) {
    var marks = {};
    each("nav a", function (link) { marks[link.hash.slice(1)] = link; });
    var observer = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        var link = marks[entry.target.id || entry.target.getAttribute("aria-labelledby")];
        if (link && entry.isIntersecting) {
          each("nav a[aria-current]", function (other) { other.removeAttribute("aria-current"); });
          link.setAttribute("aria-current", "location");
        }
      });
    }, { rootMargin: "-10% 0px -80% 0px" });
    each("main > section", function (section) { observer.observe(section); });
  }

  // On paper nothing is folded and no row is on another page, but for what is marked to be read on a screen.
  addEventListener("beforeprint", function () {
    paged.forEach(function (api) { api.page.len(-1).draw(); });
    each("details:not(.screen):not([open])", function (item) { item.open = true; item.dataset.print = "1"; });
  });
  addEventListener("afterprint", function () {
    paged.forEach(function (api) { api.page.len(25).draw(); });
    each("details[data-print]", function (item) { item.open = false; delete item.dataset.print; });
  });
})();
