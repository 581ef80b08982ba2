// Two models of a cohort on the scans that both have: what the pipeline's tests say, then one case after the other.
(function () {
  "use strict";
  const posttx = window.posttx, make = posttx.make, signed = posttx.signed;
  const LOWER = 0.2;
  const pane = posttx.byId("pane-compare");
  const element = posttx.byId("review-facts");
  const facts = Object.assign({ comparisons: {}, settings: {} }, element ? JSON.parse(element.textContent) : {});
  let chosen = "", drawn = "", group = "";

  const cohortOf = (name) => posttx.data.cohorts.find((item) => item.name === name) || { models: [], baseline: null };
  function other(at) {
    const { models, baseline } = cohortOf(at.cohort), others = models.filter((model) => model !== at.model);
    if (others.includes(chosen)) { return chosen; }
    return others.includes(baseline) ? baseline : others[0] || "";
  }
  // The baseline, else the one named first, stands for before, as in the pipeline's comparison.
  function inOrder(at, partner) {
    const { models, baseline } = cohortOf(at.cohort);
    const pair = models.filter((model) => [at.model, partner].includes(model));
    return pair[1] === baseline ? [pair[1], pair[0]] : pair;
  }
  function paired(at, second) {
    const theirs = new Map(posttx.rows(at.cohort, second).map((row) => [row.case, row]));
    return posttx.rows(at.cohort, at.model).filter((row) => theirs.has(row.case))
      .map((row) => [theirs.get(row.case), row]);
  }
  function part(title, ...children) {
    const section = make("section");
    section.append(make("h2", {}, title), ...children);
    return section;
  }
  const note = (text) => make("p", { class: "note" }, text);
  function classCell(name) {
    const cell = make("th", { scope: "row" });
    if (posttx.data.classes.some((one) => one.name === name)) { cell.append(posttx.swatch(name)); }
    cell.append(name);
    return cell;
  }
  function plain(caption, titles, rows) {
    const table = make("table", { class: "plain" }), head = make("tr"), body = make("tbody");
    head.append(...titles.map((title) => make("th", { scope: "col" }, title)));
    rows.forEach(function (cells) {
      const line = make("tr");
      line.append(...cells.map(function (cell) {
        if (cell instanceof HTMLTableCellElement) { return cell; }
        const made = make("td");
        made.append(cell);
        return made;
      }));
      body.append(line);
    });
    table.append(make("caption", { class: "hidden" }, caption), make("thead"), body);
    table.tHead.append(head);
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption });
    scroll.append(table);
    return scroll;
  }
  posttx.plainTable = plain;
  const color = (place) => `var(--class-${place}, var(--link))`;
  posttx.classColor = color;

  // The pipeline's own comparison: nothing here tests anything anew.
  const named = (row) => `${row.model} minus ${row.baseline}: ${row.measure}, ${row.convention}`;
  function groups(at, second) {
    const rows = (facts.comparisons[at.cohort] || []).filter((row) => row.model === at.model || row.model === second)
      .filter((row) => [at.model, second, `${row.model} (previous)`].includes(row.baseline));
    const found = new Map();
    rows.forEach((row) => found.set(named(row), (found.get(named(row)) || []).concat(row)));
    const primary = (name) => (found.get(name).some((row) => row.endpoint === "primary") ? 0 : 1);
    return { found, names: Array.from(found.keys()).sort((one, two) => primary(one) - primary(two)) };
  }
  function valued(value, digits) { return value === null ? "–" : signed(value, digits); }
  function difference(row, reach) {
    const place = posttx.data.classes.findIndex((one) => one.name === row.region), d = row.digits;
    const open = row.ci_low === null || row.ci_high === null;
    const interval = open ? "no interval" : `${valued(row.ci_low, d)} to ${valued(row.ci_high, d)}`;
    const p = row.p_holm === null ? "–" : row.p_holm < 0.001 ? "< 0.001" : row.p_holm.toFixed(3);
    const name = classCell(row.region);
    name.append(make("span", { class: "note block" }, `${row.n} scans, ${row.n_patients} patients`));
    return [
      name, posttx.interval(row.difference, row.ci_low, row.ci_high, reach, color(place)),
      `${valued(row.difference, d)} (${interval})`, p, row.verdict
    ];
  }
  function differences(at, second) {
    const { found, names } = groups(at, second);
    if (!names.length) { return part("Differences", note("The pipeline has compared no such pair.")); }
    const select = posttx.options(make("select", { id: "compare-group" }), names.map((name) => [name]));
    const holder = make("div");
    select.value = names.includes(group) ? group : names[0];
    function fill() {
      const rows = found.get(select.value), first = rows[0];
      const ends = rows.flatMap((row) => [row.difference, row.ci_low, row.ci_high]);
      const reach = Math.max(1e-9, ...ends.map((value) => Math.abs(value || 0)));
      const titles = ["Class", "", "Difference (95 % interval)", "p, Holm", "Verdict"];
      holder.replaceChildren(
        note("Paired by scan; 95 % interval by patient, p after Holm over all comparisons; "
          + `${first.n_unpaired} scans that only one of them has are left out. `
          + "The verdict follows from interval and p; “not shown” is not equality."),
        plain("Differences", titles, rows.map((row) => difference(row, reach)))
      );
    }
    select.addEventListener("change", function () { group = select.value; fill(); });
    fill();
    return part("Differences", posttx.labelled("Difference", select), holder);
  }

  function review(row, model) {
    if (!row.viewable) { posttx.say(`${row.case} has no images in this report.`); return; }
    posttx.go({ view: "case", case: row.case, model, filter: [] });
  }
  const has = (found) => found.state === "present" || found.state === "missed";
  function scatters(pairs, at, second) {
    const plots = make("div", { class: "plots" });
    posttx.data.classes.forEach(function ({ name }, i) {
      const both = pairs.filter(([before, after]) => has(before.classes[i]) && has(after.classes[i]));
      const points = both.map(function ([before, after]) {
        const x = before.classes[i].dice, y = after.classes[i].dice;
        const text = `${after.case}: ${second} ${x.toFixed(4)}, ${at.model} ${y.toFixed(4)}`;
        return { x, y, text, solid: after.viewable, open: () => review(after, at.model) };
      });
      points.sort((one, two) => (one.y - one.x) - (two.y - two.x));
      const up = points.filter((one) => one.y > one.x).length, down = points.filter((one) => one.y < one.x).length;
      const plot = posttx.scatter(points, {
        label: `${name}: Dice of ${points.length} scans, lowest change first`, color: color(i),
        solid: (point) => point.solid, xTitle: "Dice, " + second, yTitle: "Dice, " + at.model
      });
      const title = make("h3", {}, name);
      title.prepend(posttx.swatch(name));
      const equal = points.length - up - down;
      plot.prepend(title, note(`${points.length} scans have it: Dice higher in ${up}, lower in ${down}, equal in ${equal}.`));
      plots.append(plot);
    });
    const how = `One dot a scan; above the line, Dice is higher with ${at.model}. Pale dots have no images here. `
      + "Arrow keys walk the dots, Enter or a click opens the scan, where m shows the other model.";
    return part("Dice, scan by scan", note(how), plots);
  }

  function counted(model, token, count, whole, at) {
    if (!whole) { return String(count); }
    const place = Object.assign({}, at, { model, view: "list", case: null, filter: [token] });
    return make("a", { href: posttx.address(place) }, String(count));
  }
  function slopes(pairs, at, second) {
    const rows = [0, 1].map((side) => pairs.map((pair) => pair[side]));
    const [before, after] = rows.map((given) => new Map(posttx.failures(given).map((one) => [one.token, one])));
    const all = Array.from(new Map([...before, ...after]).values());
    const count = (found, one) => (found.get(one.token) || { affected: 0 }).affected;
    const most = (one) => Math.max(count(before, one), count(after, one));
    all.sort((one, two) => most(two) - most(one) || one.place - two.place);
    const whole = [second, at.model].map((model) => posttx.rows(at.cohort, model).length === pairs.length);
    const lines = all.map(function (one) {
      const cell = make("td", { class: "counts" });
      cell.append(
        counted(second, one.token, count(before, one), whole[0], at), " → ",
        counted(at.model, one.token, count(after, one), whole[1], at)
      );
      const name = classCell(one.name);
      name.append(" " + one.title);
      return [name, cell, `of ${one.of}`, posttx.slope(count(before, one), count(after, one), color(one.place))];
    });
    const table = lines.length ? plain("Failures", ["Failure", `${second} → ${at.model}`, "Scans", ""], lines)
      : note("Neither model fails a scan by these rules.");
    const said = "Scans with each failure, of those that both models have. A number is a link where its model has no others.";
    return part("Failures", note(said), table);
  }

  function changed(pairs, wanted) {
    const each = ([before, row]) => row.classes.map((after, i) => ({ row, before: before.classes[i], after }));
    return pairs.flatMap(each).filter((one) => wanted(one.before, one.after));
  }
  function caseCell(cell, one) {
    cell.append(make("span", one.row.viewable ? { class: "link" } : {}, one.row.case));
    if (!one.row.viewable) { cell.append(make("span", { class: "note" }, " no viewer")); }
  }
  function listed(title, rows, said, at, second, value) {
    const written = (read) => (cell, one) => { cell.textContent = read(one); };
    const state = (side) => function (cell, one) {
      posttx.fillClass(cell, one[side], posttx.toldClass(one[side]));
      delete cell.dataset.class;
    };
    const name = (one) => one.after.name, changes = written((one) => value.text(value.of(one)));
    const columns = [
      { id: "case", title: "Case", kind: "name case", value: (one) => one.row.case, fill: caseCell },
      { id: "class", title: "Class", kind: "name class", value: name, fill: written(name) },
      { id: "before", title: second, kind: "number", value: (one) => one.before.dice, fill: state("before") },
      { id: "after", title: at.model, kind: "number", value: (one) => one.after.dice, fill: state("after") },
      { id: "change", title: value.title, kind: "number", value: value.of, fill: changes }
    ];
    const table = posttx.table({
      caption: title, unit: rows.length === 1 ? "entry" : "entries", empty: "None.", columns,
      open: (one) => review(one.row, at.model),
      picture: (one) => (one.row.thumb ? posttx.thumb(at.cohort, at.model, one.row.case) : ""),
      name: () => `${title.replace(/\W+/g, "-").toLowerCase()}-${at.cohort}-${at.model}-${second}`,
      file: () => [
        ["case", (one) => one.row.case], ["class", name], ["dice_" + second, (one) => one.before.dice],
        ["dice_" + at.model, (one) => one.after.dice], ["volume_pred_ml_" + at.model, (one) => one.after.pred]
      ]
    });
    table.columns(columns);
    table.show(rows);
    return part(`${title} (${rows.length})`, note(said), table.element);
  }
  function lists(pairs, at, second) {
    const fall = (one) => one.after.dice - one.before.dice;
    const lower = changed(pairs, (before, after) => has(after) && before.dice - after.dice > LOWER)
      .sort((one, two) => fall(one) - fall(two));
    const higher = changed(pairs, (before, after) => has(after) && after.dice - before.dice > LOWER).length;
    const invented = changed(pairs, (before, after) => after.state === "hallucinated" && before.state === "absent")
      .sort((one, two) => two.after.pred - one.after.pred);
    const gone = changed(pairs, (before, after) => after.state === "absent" && before.state === "hallucinated").length;
    const fell = `Classes of single scans, largest fall first. Higher by more than ${LOWER}: ${higher}.`;
    const drew = `The class is not in the reference; ${second} left it out, ${at.model} drew it, largest volume first. `
      + `The reverse: ${gone}.`;
    const drawnMl = { title: "ml drawn", of: (one) => one.after.pred, text: (ml) => posttx.fixed(ml, 3) };
    return [
      listed(`Dice lower by more than ${LOWER}`, lower, fell, at, second,
        { title: "Change", of: fall, text: (value) => signed(value, 4) }),
      listed("Newly invented", invented, drew, at, second, drawnMl)
    ];
  }
  function columns(parts) {
    const element = make("div", { class: "columns" });
    element.append(...parts);
    return element;
  }
  function settings(at, second) {
    const [before, after] = [second, at.model].map((model) => facts.settings[model] || {});
    const all = Array.from(new Set([...Object.keys(before), ...Object.keys(after)]));
    const keys = all.filter((key) => before[key] !== after[key]).sort();
    const told = (known, key) => (Object.hasOwn(known, key) ? known[key] : "–");
    const rows = keys.map((key) => [key, told(before, key), told(after, key)]);
    return part("Settings that differ", rows.length ? plain("Settings that differ", ["Setting", second, at.model], rows)
      : note("The configuration says the same of both."));
  }

  function header(model, partner, at, second, pairs) {
    const others = cohortOf(at.cohort).models.filter((name) => name !== model);
    const against = posttx.options(make("select", { id: "compare-against" }), others.map((name) => [name]));
    against.value = partner;
    against.addEventListener("change", function () {
      chosen = against.value;
      draw(posttx.state);
      posttx.byId("compare-against").focus();
    });
    const sizes = [at.model, second].map((name) => posttx.rows(at.cohort, name).length);
    const any = sizes[0] + sizes[1] - pairs.length;
    const patients = new Set(pairs.map((pair) => pair[1].patient)).size;
    const said = pairs.length === any ? `Both have all ${any} scans of ${patients} patients.`
      : `${pairs.length} of ${any} scans (${patients} patients) have both: ${at.model} has ${sizes[0]}, `
        + `${second} has ${sizes[1]}. All below is about the scans that both have.`;
    return [posttx.labelled(`${model} and`, against), make("p", { role: "status" }, said)];
  }
  function draw(here) {
    const partner = other(here);
    drawn = [here.cohort, here.model, partner].join("\t");
    if (!partner) {
      const earlier = groups(here, "").names.length ? [differences(here, "")] : [];
      const said = `${here.model} is the one model of ${here.cohort}: there is nothing to compare it with scan by scan.`;
      pane.replaceChildren(note(here.model ? said : "There is no model."), ...earlier);
      return;
    }
    const [second, model] = inOrder(here, partner), at = Object.assign({}, here, { model }), pairs = paired(at, second);
    pane.replaceChildren(...header(here.model, partner, at, second, pairs), differences(at, second));
    if (pairs.length) {
      pane.append(slopes(pairs, at, second), scatters(pairs, at, second), columns(lists(pairs, at, second)));
    }
    pane.append(settings(at, second));
  }
  posttx.on("change", function (at) {
    if (at.view === "compare" && drawn !== [at.cohort, at.model, other(at)].join("\t")) { draw(at); }
  });
})();
