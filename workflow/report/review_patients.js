// Patients over time: a picture per visit, volumes of every class, and whether model and reference tell the same course.
(function () {
  "use strict";
  const posttx = window.posttx, make = posttx.make, signed = posttx.signed;
  const pane = posttx.byId("pane-patients");
  // The courses differ where the changes from a scan to the next are farther apart than both of these (README says so).
  const APART_ML = 1, APART_SHARE = 0.5;
  const RULE = `The courses differ where the two changes are more than ${APART_ML} ml and more than half of the `
    + "reference's change apart.";
  let list, search, of = "", groups = new Map();

  function patientsOf(at) {
    const key = at.cohort + "\t" + at.model;
    if (key !== of) {
      of = key;
      groups = new Map();
      posttx.rows(at.cohort, at.model).forEach(function (row) {
        groups.set(row.patient, (groups.get(row.patient) || []).concat(row));
      });
      const byTime = (one, two) => one.timepoint - two.timepoint || (one.case < two.case ? -1 : 1);
      groups.forEach((rows) => rows.sort(byTime));
    }
    return groups;
  }

  /* The steps from a scan to the next of a later time: per class both changes in ml, null where unknown, and whether
     they differ. Scans of the same time make no step. */
  posttx.steps = function (rows) {
    return rows.slice(1).map((after, i) => [rows[i], after])
      .filter(([before, after]) => after.timepoint > before.timepoint)
      .map(([before, after]) => ({ before, after, classes: after.classes.map((found, i) => step(before.classes[i], found)) }));
  };
  const change = (before, after) => (before === null || after === null ? null : after - before);
  function step(before, after) {
    const ref = change(before.ref, after.ref), pred = change(before.pred, after.pred);
    const known = ref !== null && pred !== null;
    const apart = known ? Math.abs(pred - ref) : 0;
    return {
      name: after.name, ref, pred, known, differs: apart > APART_ML && apart > APART_SHARE * Math.abs(ref),
      never: [before, after].every((found) => found.ref === 0 && found.pred === 0)
    };
  }
  function differing(rows) {
    const parts = posttx.steps(rows).flatMap((one) => one.classes).filter((part) => part.differs);
    return Array.from(new Set(parts.map((part) => part.name)));
  }
  function sentence(part) {
    const [ref, pred] = [part.ref, part.pred].map((ml) => (ml === null ? "" : signed(ml, 1) + " ml"));
    if (!ref && !pred) { return `${part.name}: volumes unknown`; }
    if (!ref) { return `${part.name} ${pred} by model, no reference`; }
    if (!pred) { return `${part.name} ${ref} by reference, no prediction`; }
    return `${part.name} ${ref} by reference, ${pred} by model${part.differs ? ": the course differs" : ""}`;
  }

  function listed(at) {
    const rows = Array.from(patientsOf(at), ([patient, scans]) => {
      const means = scans.map((row) => row.mean).filter((mean) => mean !== null);
      return { patient, scans, lowest: means.length ? Math.min(...means) : null, differs: differing(scans) };
    });
    return rows.sort((one, two) => two.differs.length - one.differs.length || two.scans.length - one.scans.length);
  }
  function courses(one) {
    if (one.scans.length < 2) { return "one scan"; }
    return one.differs.length ? one.differs.join(", ") : "none";
  }
  function buildList() {
    search = make("input", { id: "patients-search", type: "search", autocomplete: "off", maxlength: "300" });
    const bar = make("div", { class: "filters" });
    bar.append(posttx.labelled("Search", search));
    search.addEventListener("input", fillList);
    const text = (id, title, kind, value, read) => ({
      id, title, kind, value, fill: (cell, one) => { cell.textContent = read(one); }
    });
    const linked = (cell, one) => { cell.append(make("span", { class: "link" }, one.patient)); };
    const lowest = (one) => posttx.fixed(one.lowest, 4);
    const columns = [
      { id: "patient", title: "Patient", kind: "name case", value: (one) => one.patient, fill: linked },
      text("scans", "Scans", "number", (one) => one.scans.length, (one) => String(one.scans.length)),
      text("lowest", "Lowest mean Dice", "number", (one) => one.lowest, lowest),
      text("differs", "Courses that differ", "name", (one) => (one.scans.length < 2 ? null : one.differs.length), courses)
    ];
    list = posttx.table({
      caption: "Patients", unit: "patients", empty: "No patient fits the search.", columns,
      total: () => patientsOf(posttx.state).size, open: (one) => posttx.go({ view: "patients", patient: one.patient }),
      name: () => `patients-${posttx.state.cohort}-${posttx.state.model}`,
      file: () => [
        ["patient", (one) => one.patient], ["scans", (one) => one.scans.length],
        ["lowest_mean_dice", (one) => one.lowest], ["courses_that_differ", (one) => one.differs.join("; ")]
      ]
    });
    list.columns(columns);
    list.bar.append(make("span", { class: "note" }, RULE));
    return [bar, list.element];
  }
  function fillList() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.show(listed(posttx.state).filter((one) => words.every((word) => one.patient.toLowerCase().includes(word))));
  }

  function visit(at, row) {
    const figure = make("figure"), caption = make("figcaption");
    const picture = row.thumb ? make("img", { src: posttx.thumb(at.cohort, at.model, row.case), alt: "", loading: "lazy" })
      : make("span", { class: "none" }, "no images");
    const href = posttx.address(Object.assign({}, at, { view: "case", case: row.case, filter: [] }));
    const link = row.viewable ? make("a", { href }) : make("span");
    link.append(picture, make("span", {}, row.case));
    caption.textContent = `time ${row.timepoint}, ${row.mean === null ? "no mean Dice" : "mean Dice " + row.mean.toFixed(3)}`;
    figure.append(link, caption);
    return figure;
  }
  const ml = (value) => posttx.fixed(value, 2);
  function charts(rows) {
    const plots = make("div", { class: "plots" }), missing = [], unknown = [];
    posttx.data.classes.forEach(function ({ name }, i) {
      const visits = rows.map((row) => [row.timepoint, row.classes[i].ref, row.classes[i].pred]);
      const most = Math.max(0, ...visits.flatMap((one) => [one[1] || 0, one[2] || 0]));
      if (!most) {
        (visits.every((one) => one[1] === null && one[2] === null) ? unknown : missing).push(name);
        return;
      }
      const plot = make("div", { class: "plot" }), title = make("h3", {}, name);
      title.prepend(posttx.swatch(name));
      const cells = visits.map((one, k) => [String(one[0]), ml(one[1]), ml(one[2]), posttx.toldClass(rows[k].classes[i])]);
      const label = `Volume of ${name} over ${rows.length} scans; the table below has its numbers`;
      plot.append(
        title, posttx.course(visits, most, posttx.classColor(i), label),
        posttx.plainTable(`Volumes of ${name} in ml, and Dice`, ["Time", "Reference", "Prediction", "Dice"], cells)
      );
      plots.append(plot);
    });
    const said = "Millilitres over the times of the scans; solid with full dots: reference, dashed with rings: prediction."
      + (missing.length ? ` ${missing.join(", ")}: no volume in any scan.` : "")
      + (unknown.length ? ` ${unknown.join(", ")}: volumes unknown.` : "");
    return [make("p", { class: "note" }, said), plots];
  }
  function sentences(rows) {
    const steps = posttx.steps(rows);
    if (!steps.length) {
      const why = rows.length < 2 ? "One scan" : "All scans are of the same time";
      return [make("p", {}, why + ": there is no course to compare.")];
    }
    const items = steps.map(function (one) {
      const told = one.classes.filter((part) => !part.never), item = make("li");
      told.sort((a, b) => Number(b.differs) - Number(a.differs));
      item.append(`Time ${one.before.timepoint} to ${one.after.timepoint}: `);
      told.forEach(function (part, i) {
        const text = make("span", part.differs ? { class: "differs" } : {}, sentence(part));
        item.append(text, i < told.length - 1 ? "; " : ".");
      });
      if (!told.length) { item.append("no class in either scan."); }
      return item;
    });
    const element = make("ul");
    element.append(...items);
    return [element, make("p", { class: "note" }, RULE)];
  }
  function scansOf(rows, at) {
    const count = `${rows.length} ${rows.length === 1 ? "scan" : "scans"}, model ${at.model}.`;
    const slices = " Each picture is the slice of that scan's first finding: slices differ between scans.";
    return rows.some((row) => row.thumb) ? count + slices : count;
  }
  function drawPatient(at) {
    const rows = patientsOf(at).get(at.patient), names = listed(at).map((one) => one.patient);
    const place = names.indexOf(at.patient);
    const bar = make("div", { class: "tools" });
    const button = (text, patient) => {
      const made = make("button", { type: "button" }, text);
      made.disabled = patient === undefined;
      made.addEventListener("click", () => posttx.go({ view: "patients", patient }));
      return made;
    };
    bar.append(
      button("All patients", null), button("Previous patient", names[place - 1]), button("Next patient", names[place + 1])
    );
    const heading = make("h2", { tabindex: "-1" }, at.patient);
    const strip = make("div", { class: "visits", tabindex: "0", role: "group", "aria-label": "Scans" });
    strip.append(...rows.map((row) => visit(at, row)));
    const part = (title) => make("h3", {}, title);
    pane.replaceChildren(bar, heading, make("p", { class: "note" }, scansOf(rows, at)), strip,
      part("Course"), ...sentences(rows), part("Volumes, ml"), ...charts(rows));
    return heading;
  }
  function show(at, previous) {
    if (at.view !== "patients") { return; }
    const moved = previous.view === "patients", known = patientsOf(at);
    if (at.patient && known.has(at.patient)) {
      const heading = drawPatient(at);
      if (moved) { queueMicrotask(() => heading.focus()); }
      return;
    }
    if (at.patient) { posttx.say(`There is no patient “${at.patient}” of ${at.model} in ${at.cohort}.`); }
    pane.replaceChildren(...(known.size ? buildList() : [make("p", { class: "note" }, "There is no patient.")]));
    if (!known.size) { return; }
    fillList();
    if (moved && previous.patient) { queueMicrotask(() => list.select((one) => one.patient === previous.patient, true)); }
  }
  posttx.on("change", show);
})();
