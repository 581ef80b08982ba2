// Tables of the panes: sorted by any column, a page of rows at a time, walked with the arrow keys, saved as CSV.
(function () {
  "use strict";
  const posttx = window.posttx, make = posttx.make;
  const PAGE = 25;
  const words = new Intl.Collator("en", { numeric: true });

  function compared(one, other) {
    return typeof one === "string" ? words.compare(one, String(other)) : one - other;
  }
  // What is not there stands last, whichever way the rest is sorted.
  function sorted(rows, column, down) {
    if (!column) { return rows; }
    const keyed = rows.map((row) => [column.value(row), row]);
    const known = keyed.filter((pair) => pair[0] !== null), rest = keyed.filter((pair) => pair[0] === null);
    known.sort((one, other) => (down ? -1 : 1) * compared(one[0], other[0]));
    return known.concat(rest).map((pair) => pair[1]);
  }

  /* Return a table to be filled by `show(rows)`.

     options: name (of the file saved), caption, unit ("scans"), empty (what is said of no rows), columns, file (columns
     of the CSV as [title, value(row)]; left out: nothing to save), open(row), opens(row), picture(row) -> address or "",
     sorted(rows) told of every order. A column: id, title, label (for readers, where the title is short), kind ("name"
     or "number"), value(row) -> number, text or null, fill(cell, row). */
  posttx.table = function (options) {
    let given = [], rows = [], first = 0, current = 0, by = null, down = false, columns = options.columns;
    const root = make("div", { class: "listing" });
    const status = make("span", { role: "status", class: "note" });
    const bar = make("div", { class: "tools" });
    const table = make("table", { role: "grid", "aria-label": options.caption });
    const head = make("tr"), body = make("tbody");
    const pages = make("div", { class: "pages" });
    const before = make("button", { type: "button" }, "Previous"), after = make("button", { type: "button" }, "Next");
    const place = make("span", { class: "note" });
    const preview = make("img", { class: "preview", alt: "" });

    function heading(column) {
      const cell = make("th", { scope: "col", class: column.kind });
      const button = make("button", { type: "button" }, column.title);
      if (column.label) { button.setAttribute("aria-label", column.label); button.title = column.label; }
      button.addEventListener("click", () => sort(column));
      cell.append(button);
      return cell;
    }
    function mark() {
      columns.forEach(function (column, i) {
        const cell = head.children[i];
        cell.removeAttribute("aria-sort");
        if (column.id === by) { cell.setAttribute("aria-sort", down ? "descending" : "ascending"); }
      });
    }
    function sort(column) {
      down = column.id === by && !down;
      by = column.id;
      order();
    }
    function order() {
      rows = sorted(given, columns.find((column) => column.id === by), down);
      first = current = 0;
      if (options.sorted) { options.sorted(rows); }
      draw();
    }
    function line(row, at) {
      const element = make("tr", { tabindex: at === current ? "0" : "-1", "aria-rowindex": String(at + 2) });
      element.dataset.at = String(at);
      columns.forEach(function (column) {
        const cell = make("td", { class: column.kind });
        column.fill(cell, row);
        element.append(cell);
      });
      return element;
    }
    function draw() {
      mark();
      preview.hidden = true;
      body.replaceChildren(...rows.slice(first, first + PAGE).map((row, i) => line(row, first + i)));
      if (!rows.length) {
        const cell = make("td", { colspan: String(columns.length) }, options.empty || "Nothing fits.");
        body.append(make("tr"));
        body.firstChild.append(cell);
      }
      table.setAttribute("aria-rowcount", String(rows.length + 1));
      status.textContent = told();
      pages.hidden = rows.length <= PAGE;
      place.textContent = `${first + 1} to ${Math.min(first + PAGE, rows.length)} of ${rows.length}`;
      before.disabled = first === 0;
      after.disabled = first + PAGE >= rows.length;
    }
    function told() {
      const all = options.total ? options.total() : rows.length;
      return all === rows.length ? `${all} ${options.unit}` : `${rows.length} of ${all} ${options.unit}`;
    }
    function turn(to) { first = current = to; draw(); }
    function lineOf(target) { return target.closest("tr[data-at]"); }

    // One row is the stop of the Tab key; arrows move it, over the ends of pages too.
    function move(to, focus) {
      if (!rows.length) { return; }
      current = Math.max(0, Math.min(rows.length - 1, to));
      const start = Math.floor(current / PAGE) * PAGE;
      if (start !== first) { first = start; draw(); }
      Array.from(body.children).forEach((one) => { one.tabIndex = Number(one.dataset.at) === current ? 0 : -1; });
      if (focus) { body.children[current - first].focus(); }
    }
    function open(at) {
      const row = rows[at];
      if (row && (!options.opens || options.opens(row))) { options.open(row); }
    }
    const KEYS = {
      ArrowDown: () => move(current + 1, true), ArrowUp: () => move(current - 1, true),
      PageDown: () => move(current + PAGE, true), PageUp: () => move(current - PAGE, true),
      Home: () => move(0, true), End: () => move(rows.length - 1, true),
      Enter: () => open(current), Escape: () => { preview.hidden = true; }
    };
    body.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(KEYS, event.key)) { return; }
      event.preventDefault();
      KEYS[event.key]();
    });
    body.addEventListener("click", function (event) {
      const found = lineOf(event.target);
      if (!found || event.ctrlKey || event.metaKey || event.shiftKey) { return; }
      event.preventDefault();
      move(Number(found.dataset.at), true);
      open(current);
    });

    // The picture of the row under the pointer or the focus stands at the side, where the row leaves it room.
    function look(event) {
      const found = lineOf(event.target);
      const address = found && options.picture ? options.picture(rows[Number(found.dataset.at)]) : "";
      preview.hidden = !address;
      if (!address) { return; }
      if (preview.getAttribute("src") !== address) { preview.src = address; }
      const box = found.getBoundingClientRect();
      preview.style.top = (box.bottom + 210 < innerHeight ? box.bottom + 4 : Math.max(0, box.top - 206)) + "px";
    }
    body.addEventListener("mouseover", look);
    body.addEventListener("focusin", function (event) {
      const found = lineOf(event.target);
      if (found) { move(Number(found.dataset.at), false); }
      look(event);
    });
    ["mouseleave", "focusout"].forEach((name) => body.addEventListener(name, () => { preview.hidden = true; }));
    before.addEventListener("click", () => turn(Math.max(0, first - PAGE)));
    after.addEventListener("click", () => turn(first + PAGE));

    bar.append(status);
    if (options.file) {
      const save = make("button", { type: "button", "aria-label": "Save as CSV: " + options.caption }, "CSV");
      save.addEventListener("click", function () {
        const file = options.file(), lines = rows.map((row) => file.map((column) => column[1](row)));
        posttxCsv.save(options.name() + ".csv", posttxCsv.text(file.map((column) => column[0]), lines));
      });
      bar.append(save);
    }
    pages.append(before, place, after);
    const scroll = make("div", { class: "scroll" });
    table.append(make("thead"), body);
    table.tHead.append(head);
    scroll.append(table);
    root.append(bar, scroll, pages, preview);

    return {
      element: root, bar,
      columns(next) {
        columns = next;
        head.replaceChildren(...columns.map(heading));
        if (!columns.some((column) => column.id === by)) { by = null; }
      },
      show(next) { given = next; order(); },
      select(found, focus) { const at = rows.findIndex(found); if (at >= 0) { move(at, focus); } },
      focus() { move(current, true); }
    };
  };
})();
