// One case: what stands round the slices, and what is shown in them.
(function () {
  "use strict";
  const posttx = window.posttx, viewer = posttx.viewer, byId = posttx.byId, make = posttx.make, fixed = posttx.fixed;
  const view = posttx.view = { modality: "t1c", overlay: "both", hiding: false, finding: -1, zoomed: false, hidden: new Set() };
  const OVERLAYS = [["both", "o"], ["reference", "r"], ["prediction", "p"], ["errors", "e"], ["none", "h"]];
  const LEGENDS = {
    both: "solid: reference · dashed: prediction", reference: "solid: reference", prediction: "dashed: prediction",
    errors: "filled: missed · dashed and pale: added", none: ""
  };
  // What the reader chose last; a case without it shows what it has.
  const wanted = { modality: "t1c", overlay: "both" };
  const current = posttx.current = { labels: null, images: null, at: null };
  let turn = 0;

  const notice = (text) => { byId("notice").textContent = text; };
  posttx.notice = notice;

  function chip(text, key, pressed, action, name) {
    const button = make("button", { type: "button", "aria-pressed": String(pressed) });
    if (key) { button.append(make("kbd", { "aria-hidden": "true" }, key)); }
    if (name) { button.append(posttx.swatch(name)); }
    button.append(make("span", {}, text));
    button.addEventListener("click", action);
    return button;
  }
  posttx.chip = chip;
  function head(at) {
    const rows = posttx.viewable(), place = rows.findIndex((row) => row.case === at.case);
    const row = posttx.rows(at.cohort, at.model).find((one) => one.case === at.case);
    byId("name").textContent = at.case;
    const order = posttx.inWorstOrder() ? ", worst first" : "";
    byId("position").textContent = place < 0 ? `not among the ${rows.length} of this list` : `${place + 1} of ${rows.length}${order}`;
    byId("back").href = posttx.address(Object.assign({}, at, { view: "list" }));
    byId("convention").textContent = `Dice per case, convention ${posttx.data.convention}`;
    byId("states").replaceChildren(...row.classes.filter((part) => part.state !== "absent").map(function (part) {
      const item = make("li", part.state === "present" ? {} : { "class": "bad" });
      item.append(posttx.swatch(part.name), `${part.name} ${posttx.toldClass(part, 2)}`);
      return item;
    }));
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place === rows.length - 1;
  }
  posttx.neighbour = function (by) {
    const rows = posttx.viewable();
    const found = rows[rows.findIndex((row) => row.case === posttx.state.case) + by];
    if (found) { posttx.go({ case: found.case }); } else { notice(by > 0 ? "This is the last case of the list." : "This is the first case of the list."); }
  };
  posttx.nextModel = function () {
    const at = posttx.state, models = posttx.modelsOf(at.cohort), here = models.indexOf(at.model);
    const others = models.map((_, i) => models[(here + 1 + i) % models.length]).slice(0, -1);
    const found = others.find((model) => posttx.rows(at.cohort, model).some((row) => row.case === at.case && row.viewable));
    if (found) { posttx.go({ model: found, case: at.case }); } else { notice("No other model has pictures of this case."); }
  };

  function chips() {
    const names = Object.fromEntries(posttx.data.modalities), at = posttx.state;
    const images = Object.keys(current.images.images), maps = current.labels.maps;
    const order = posttx.data.modalities.map((pair) => pair[0]).filter((name) => images.includes(name));
    byId("modalities").replaceChildren(...order.map((name) =>
      chip(names[name] || name, String(posttx.modalityKey(name)), name === view.modality, () => posttx.setModality(name))));
    const missing = posttx.data.modalities.filter(([name]) => !images.includes(name)).map(([, title]) => title);
    byId("missing").hidden = !missing.length;
    byId("missing").textContent = missing.length ? `This case has no ${missing.join(", ")}.` : "";
    byId("overlays").replaceChildren(...OVERLAYS.map(function ([name, key]) {
      const button = chip(name, key, name === view.overlay, () => posttx.setOverlay(name));
      button.disabled = (name === "reference" || name === "errors") && !maps.reference;
      return button;
    }));
    const models = posttx.modelsOf(at.cohort);
    byId("models-group").hidden = models.length < 2;
    byId("models").replaceChildren(...models.map((name) => chip(name, "", name === at.model, function () {
      if (name !== at.model) { posttx.go({ model: name, case: at.case }); }
    })));
    byId("shown-classes").replaceChildren(...posttx.data.classes.map(({ name }) => chip(name, "", !view.hidden.has(name), function () {
      if (!view.hidden.delete(name)) { view.hidden.add(name); }
      chips();
      posttx.overlay.draw();
    }, name)));
    byId("legend").textContent = LEGENDS[view.overlay];
  }
  posttx.modalityKey = (name) => posttx.data.modalities.findIndex((pair) => pair[0] === name) + 1;

  function findings() {
    byId("findings").replaceChildren(...current.labels.findings.map(function (finding, i) {
      const item = make("li"), button = make("button", { type: "button", "aria-current": "false" });
      const what = finding.kind === "low" ? `Dice ${fixed(finding.dice, 2)}` : finding.kind;
      const volume = finding.kind === "invented" ? finding.ml_pred : finding.ml_ref ?? finding.ml_pred;
      button.append(posttx.swatch(finding.region), make("span", { "class": finding.kind === "lesion" ? "" : "bad" }, `${finding.region} ${what}`),
        make("span", { "class": "value" }, `${fixed(volume, 2)} ml`));
      button.addEventListener("click", () => posttx.toFinding(i));
      item.append(button);
      return item;
    }));
    if (!current.labels.findings.length) { byId("findings").replaceChildren(make("li", { "class": "soft" }, "Nothing was missed, invented or below the limit.")); }
    if (current.labels.further) { byId("findings").append(make("li", { "class": "soft" }, `${current.labels.further} more, ranked below these, are not listed.`)); }
  }
  function markFinding(i) {
    view.finding = i;
    byId("findings").querySelectorAll("button").forEach((button, j) => button.setAttribute("aria-current", String(i === j)));
    const button = byId("findings").querySelectorAll("button")[i];
    if (button) { button.scrollIntoView({ block: "nearest" }); }
  }
  posttx.toFinding = function (i) {
    const finding = current.labels && current.labels.findings[i];
    if (!finding || !current.volume) { return false; }
    markFinding(i);
    if (view.zoomed) { viewer.zoomTo(finding.mm, finding.radius_mm || 0); } else { viewer.goTo(finding.mm); }
    byId("spoken").textContent = byId("findings").children[i].textContent + ", " + byId("slice").textContent;
    return true;
  };
  posttx.toggleZoom = function () {
    view.zoomed = viewer.zoom() === 1;
    const finding = current.labels.findings[Math.max(0, view.finding)];
    if (view.zoomed) { viewer.zoomTo(finding ? finding.mm : current.labels.open, finding ? finding.radius_mm || 0 : 0); } else { viewer.setZoom(1); }
  };

  function visits() {
    const at = posttx.state, rows = posttx.rows(at.cohort, at.model), here = rows.find((row) => row.case === at.case);
    const known = rows.filter((row) => row.patient === here.patient).sort((a, b) => (a.timepoint ?? 0) - (b.timepoint ?? 0));
    byId("visits-group").hidden = known.length < 2;
    byId("visits").replaceChildren(...known.map(function (row) {
      const link = make(row.viewable ? "a" : "span", row.case === at.case ? { "aria-current": "true" } : {});
      if (row.viewable) { link.href = posttx.address(Object.assign({}, at, { case: row.case })); }
      if (row.thumb) { link.append(make("img", { src: posttx.thumb(at.cohort, at.model, row.case), alt: "", loading: "lazy" })); }
      link.append(make("span", {}, row.timepoint === null ? row.case : String(row.timepoint)));
      return link;
    }));
  }

  // The read-outs over the slices.
  function lengths(mm) {
    const told = mm.map((value) => value.toFixed(1));
    return new Set(told).size === 1 ? told[0] : told.join(" × ");
  }
  function units(value) { return Math.abs(value) < 10 ? value.toFixed(2) : String(Math.round(value)); }
  function readouts() {
    if (!current.volume) { return; }
    const { index, of } = viewer.slice(), { width, level } = viewer.inScannerUnits(current.images.images[view.modality]);
    byId("slice").textContent = `slice ${index}/${of}`;
    byId("window").textContent = `W ${units(width)} L ${units(level)}`;
    byId("resolution").textContent = current.images.averaged
      ? `averaged from ${lengths(current.images.native_mm)} to ${lengths(current.images.mm)} mm` : `${lengths(current.images.mm)} mm, native`;
  }
  posttx.on("drawn", readouts);

  function shown() {
    document.body.dataset.shown = [current.at.case, current.at.model, view.modality, view.overlay].join("/");
    byId("stage").classList.remove("loading");
  }
  async function maps(at) {
    const kinds = ["reference", "prediction", ...(view.overlay === "errors" ? ["errors"] : [])];
    const volumes = await Promise.all(kinds.map((kind) => posttx.labelVolume(at, kind)));
    return Object.fromEntries(kinds.map((kind, i) => [kind, volumes[i]]));
  }
  posttx.setModality = async function (name) {
    if (!current.volume || !current.images.images[name]) { return; }
    const mine = turn, volume = await posttx.imageVolume(current.at, name);
    if (mine !== turn) { return; }
    view.modality = wanted.modality = name;
    current.volume = volume;
    viewer.show(volume, current.images, null);
    chips();
    shown();
  };
  posttx.setOverlay = async function (name) {
    if (!current.volume || ((name === "reference" || name === "errors") && !current.labels.maps.reference)) { return; }
    const mine = turn;
    view.overlay = wanted.overlay = name;
    const loaded = await maps(current.at);
    if (mine !== turn || view.overlay !== name) { return; }
    posttx.overlay.maps = loaded;
    posttx.overlay.draw();
    chips();
    shown();
  };

  function picture(labels, why) {
    byId("picture").hidden = !labels.picture;
    byId("picture").src = labels.picture || "";
    byId("picture").alt = `Slices of ${labels.case} with contours of reference and prediction`;
    document.querySelectorAll("#pane-case .viewing").forEach((part) => { part.hidden = true; });
    byId("pane-case").classList.add("still");
    notice(`This browser cannot show volumes (${why}): this is the picture of the report. Rating works.`);
    document.body.dataset.shown = [current.at.case, current.at.model, "picture"].join("/");
    byId("stage").classList.remove("loading");
  }
  async function show(at, before) {
    const mine = ++turn;
    if (at.view !== "case") { return; }
    const another = !current.at || at.case !== current.at.case || at.cohort !== current.at.cohort;
    byId("stage").classList.add("loading");
    delete document.body.dataset.shown;
    current.volume = null;
    notice("");
    head(at);
    visits();
    if (before.view !== "case") { byId("stage").focus({ preventScroll: true }); }
    try {
      const [labels, images] = await Promise.all([posttx.labels(at), posttx.images(at)]);
      if (mine !== turn) { return; }
      Object.assign(current, { labels, images, at });
      findings();
      view.modality = images.images[wanted.modality] ? wanted.modality : Object.keys(images.images)[0];
      view.overlay = labels.maps.reference || wanted.overlay === "none" ? wanted.overlay : "prediction";
      chips();
      try { await viewer.start(); } catch (error) { if (mine === turn) { picture(labels, window.niivue ? "WebGL2 is missing" : error.message); } return; }
      const [volume, loaded] = await Promise.all([posttx.imageVolume(at, view.modality), maps(at)]);
      if (mine !== turn) { return; }
      current.volume = volume;
      posttx.overlay.maps = loaded;
      place(volume, another);
      shown();
      posttx.prepare(at, view.modality).catch(() => undefined);
    } catch (error) {
      if (mine === turn) { notice(`${at.case} cannot be shown: ${error.message}.`); }
    }
  }
  // Another case opens on its worst finding; another model of it keeps the place.
  function place(volume, another) {
    if (another) { view.zoomed = false; }
    viewer.show(volume, current.images, another ? current.labels.open : null);
    markFinding(another && current.labels.findings.length ? 0 : -1);
  }
  posttx.on("ready", function () {
    viewer.recallWindows();
    posttx.on("change", show);
  });
  byId("previous").addEventListener("click", () => posttx.neighbour(-1));
  byId("next").addEventListener("click", () => posttx.neighbour(1));
})();
