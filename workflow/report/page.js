(function () {
  "use strict";
  var root = document.documentElement;
  function each(selector, action, within) { Array.prototype.forEach.call((within || document).querySelectorAll(selector), action); }
  function make(tag, attributes, text) {
    var element = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

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
  function download(name, text) {
    var link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" })) });
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }

  // The theme follows the system until the reader chooses.
  var button = document.getElementById("theme");
  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function show(theme) {
    if (theme) { root.dataset.theme = theme; }
    root.classList.toggle("dark", dark());
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours");
  }
  show(stored("theme"));
  button.addEventListener("click", function () { var next = dark() ? "light" : "dark"; stored("theme", next); show(next); });

  var which = document.getElementById("which");
  if (which) {
    which.addEventListener("change", function () {
      each("[data-block]", function (block) { block.hidden = which.value !== "" && block.dataset.block !== which.value; });
    });
  }

  // What a spreadsheet would run as a formula gets a ' before it (posttx/csv_text.py does the same); numbers, with their
  // interval or without, stay as they are.
  var FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  var FIGURE = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?( [+-]?[\d,.]+ to [+-]?[\d,.]+)?$/i;
  function guarded(text) { return FORMULA.test(text) && !FIGURE.test(text) ? "'" + text : text; }

  // Tables: sort by any column, filter, choose columns, save as CSV. Without DataTables they stay plain tables.
  function csv(api, name) {
    function quoted(text) { return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text; }
    var visible = api.columns(":visible").indexes().toArray();
    var lines = [visible.map(function (i) { return quoted(guarded(api.column(i).header().textContent.trim())); }).join(",")];
    api.rows({ search: "applied", order: "applied" }).every(function () {
      var index = this.index();
      lines.push(visible.map(function (i) {
        var holder = document.createElement("template");
        holder.innerHTML = api.cell(index, i).render("display");
        var text = holder.content.textContent.replace(/\s+/g, " ").trim();
        return quoted(guarded(text));
      }).join(","));
    });
    download(name + ".csv", lines.join("\n") + "\n");
  }
  function tools(table, api) {
    var bar = make("div", { "class": "tools" });
    var save = make("button", { type: "button" }, "CSV");
    save.setAttribute("aria-label", "Save this table as CSV: " + table.caption.textContent.replace("#", ""));
    save.addEventListener("click", function () { csv(api, table.dataset.name); });
    bar.appendChild(save);
    if (api.columns().count() > 5) {
      var choice = make("details");
      choice.appendChild(make("summary", {}, "Columns"));
      api.columns().every(function () {
        var column = this, label = make("label"), box = make("input", { type: "checkbox" });
        box.checked = true;
        box.addEventListener("change", function () { column.visible(box.checked); });
        label.appendChild(box);
        label.appendChild(document.createTextNode(" " + column.header().textContent.trim()));
        choice.appendChild(label);
      });
      bar.appendChild(choice);
    }
    table.closest(".table").append(bar);
  }
  var words = { search: "Filter ", info: "_TOTAL_ rows", infoEmpty: "no rows", infoFiltered: "of _MAX_", lengthMenu: "_MENU_ per page", zeroRecords: "No row fits the filter." };
  function enhance(table, options) {
    var api = new DataTable(table, Object.assign({ order: [], autoWidth: false, language: words }, options));
    tools(table, api);
    return api;
  }
  function scored(value, type) {
    var dice = value[0], state = value[1];
    if (type === "sort" || type === "type") { return dice === null ? -1 : dice; }
    var text = dice === null || state === "absent" ? "–" : dice.toFixed(4);
    if (type !== "display") { return text + " " + state; }
    return state === "present" ? text : '<span class="state-' + state + '">' + text + '<span class="interval">' + state + "</span></span>";
  }
  function number(value, type) {
    if (type === "sort" || type === "type") { return value === null ? -1 : value; }
    return value === null ? "–" : value.toFixed(4);
  }
  function cases(table) {
    var data = JSON.parse(document.getElementById(table.dataset.source).textContent);
    var renders = { text: DataTable.render.text(), number: number, scored: scored };
    enhance(table, {
      data: data.rows,
      columns: data.columns.map(function (column) {
        return { title: column[0], render: renders[column[1]], className: column[1] === "text" ? "name" : "number" };
      }),
      pageLength: 25,
      deferRender: true
    });
  }
  if (window.DataTable) {
    each("table.data:not(.plain):not(.cases)", function (table) {
      var rows = table.tBodies[0].querySelectorAll("tr:not(.nothing)").length;
      if (rows < 2 || table.tBodies[0].querySelector(".nothing")) { return; }
      enhance(table, { paging: rows > 30, pageLength: 25, searching: rows > 8, info: rows > 8 });
    });
    // Large ones are built when their part is opened.
    each("table.cases", function (table) {
      var folded = table.closest("details");
      function build() { if (!table.dataset.built) { table.dataset.built = "1"; cases(table); } }
      if (folded) { folded.addEventListener("toggle", function () { if (folded.open) { build(); } }); } else { build(); }
    });
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
        return guarded(text.replace(/\s+/g, " ").trim());
      }).join("\t");
    });
    download("ratings.tsv", ["cohort\tcase\trating\tcomment\tmodel\trater"].concat(lines).join("\n") + "\n");
  });
  click("clear-ratings", function () {
    if (!confirm("Forget the ratings of this run and rater that this browser keeps?")) { return; }
    stored(name(), "{}");
    fill();
  });
  each("button[data-save]", function (save) {
    save.addEventListener("click", function () { download(save.dataset.name, document.getElementById(save.dataset.save).textContent); });
  });

  // A permalink into something folded or filtered away opens it.
  function decoded(text) { try { return decodeURIComponent(text); } catch (error) { return text; } }
  function reveal() {
    var target = location.hash && document.getElementById(decoded(location.hash.slice(1)));
    for (var part = target; part; part = part.parentElement) {
      if (part.tagName === "DETAILS") { part.open = true; }
      if (part.hidden) { part.hidden = false; }
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
        var link = marks[entry.target.getAttribute("aria-labelledby")];
        if (link && entry.isIntersecting) {
          each("nav a[aria-current]", function (other) { other.removeAttribute("aria-current"); });
          link.setAttribute("aria-current", "location");
        }
      });
    }, { rootMargin: "-10% 0px -80% 0px" });
    each("section[aria-labelledby]", function (section) { observer.observe(section); });
  }

  addEventListener("beforeprint", function () { each("details.case, details.read", function (item) { item.open = true; }); });
})();
