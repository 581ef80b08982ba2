(function () {
  "use strict";
  var looks = JSON.parse(document.getElementById("looks").textContent);
  var SECOND = looks.second, labels = looks.labels, names = looks.modalities;
  var message = document.getElementById("message");
  var view, content, overlay, volumes = {}, hidden = {};
  var chosen = { image: null, map: null };
  function decoded(text) { try { return decodeURIComponent(text); } catch (error) { return ""; } }
  function say(text) { message.textContent = text; }
  function make(tag, text) { var element = document.createElement(tag); if (text !== undefined) { element.textContent = text; } return element; }

  // Colours by label value: the second kind (added, or the prediction's outline) is paler; hidden labels are clear.
  function colors() {
    var map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    function add(value, rgb, shown, name) {
      map.R.push(rgb[0]); map.G.push(rgb[1]); map.B.push(rgb[2]); map.A.push(shown ? 255 : 0); map.I.push(value); map.labels.push(name);
    }
    labels.forEach(function (look) { add(look.label, look.rgb, !hidden[look.label], look.name); });
    labels.forEach(function (look) { add(look.label + SECOND, look.pale, !hidden[look.label], look.name); });
    return map;
  }
  function volume(kind, name) {
    var key = kind + "/" + name;
    if (!volumes[key]) {
      var options = { base64: content[kind][name], name: name + ".nii.gz", colormap: "gray", opacity: 1 };
      if (kind === "images") { Object.assign(options, { cal_min: 0.5, cal_max: 255, trustCalMinMax: true }); }
      if (kind === "grid") { options.opacity = 0; }
      volumes[key] = niivue.NVImage.loadFromBase64(options).then(function (loaded) {
        if (kind === "maps") { loaded.setColormapLabel(colors()); loaded.opacity = opacity(); }
        return loaded;
      });
    }
    return volumes[key];
  }
  function opacity() { return Number(document.getElementById("opacity").value) / 100; }
  function recolor() {
    if (!overlay) { return; }
    overlay.setColormapLabel(colors());
    overlay.opacity = opacity();
    view.updateGLVolume();
  }
  async function update() {
    var next = [await volume("grid", "grid"), await volume("images", chosen.image)];
    if (chosen.map) { next.push(await volume("maps", chosen.map)); }
    view.volumes.slice().reverse().forEach(function (old) { view.removeVolume(old); });
    next.forEach(function (item) { view.addVolume(item); });
    overlay = next[2] || null;
    recolor();
    document.getElementById("legend").textContent = {
      errors: "Full colour: missed. Pale: added where the reference has none.",
      outlines: "Full colour: outline of the reference. Pale: outline of the prediction (axial)."
    }[chosen.map] || "";
    document.body.dataset.shown = chosen.image + "/" + (chosen.map || "none");
    say("");
  }
  function radios(id, options, current, action) {
    var box = document.getElementById(id);
    options.forEach(function (option) {
      var label = make("label"), radio = make("input");
      radio.type = "radio"; radio.name = id; radio.value = option[0]; radio.checked = option[0] === current;
      radio.addEventListener("change", function () { action(option[0]); });
      label.append(radio, " " + option[1]);
      box.append(label);
    });
  }
  function go(place) {
    view.scene.crosshairPos = view.mm2frac(place);
    view.drawScene();
  }
  function lesions() {
    var body = document.getElementById("lesions");
    content.lesions.forEach(function (row) {
      var line = make("tr"), cell = make("td"), button = make("button", row[0]);
      button.type = "button";
      button.addEventListener("click", function () { go([row[5], row[6], row[7]]); });
      cell.append(button);
      line.append(cell, make("td", row[1]), make("td", row[2].replace("_", " ")),
        make("td", row[3] === null ? "–" : (row[3] / 1000).toFixed(3)), make("td", row[4] === null ? "–" : row[4].toFixed(3)));
      body.append(line);
    });
    if (!content.lesions.length) { document.querySelector(".lesions").hidden = true; }
  }
  window.posttxCase = async function (given) {
    content = given;
    document.getElementById("name").textContent = given.case;
    try {
      view = new niivue.Niivue({ backColor: [0.05, 0.06, 0.08, 1], show3Dcrosshair: false, isRadiologicalConvention: true, crosshairWidth: 0.6, logLevel: "fatal" });
      await view.attachTo("canvas");
      if (!view.gl) { throw new Error("no WebGL2"); }
    } catch (error) {
      document.getElementById("canvas").hidden = true;
      document.querySelectorAll("aside > :not(.lesions)").forEach(function (part) { part.hidden = true; });
      var picture = document.getElementById("picture");
      picture.hidden = !given.picture;
      picture.src = given.picture;
      picture.alt = "Axial and coronal slices of " + given.case + " in all modalities with contours of reference and prediction, and a map of errors";
      lesions();
      document.querySelectorAll("#lesions button").forEach(function (button) { button.disabled = true; });
      say("This browser cannot show volumes (WebGL2 is missing): this is the picture of the report.");
      document.body.dataset.ready = "picture";
      return;
    }
    var images = Object.keys(given.images), maps = Object.keys(given.maps);
    chosen.image = images.indexOf("t1c") >= 0 ? "t1c" : images[0];
    chosen.map = maps.indexOf("outlines") >= 0 ? "outlines" : maps[0] || null;
    radios("modalities", images.map(function (name) { return [name, names[name] || name]; }), chosen.image, function (name) { chosen.image = name; update(); });
    radios("overlays", [["", "none"]].concat(maps.map(function (name) { return [name, name]; })), chosen.map || "", function (name) { chosen.map = name || null; update(); });
    labels.forEach(function (look) {
      var label = make("label"), box = make("input"), swatch = make("span");
      box.type = "checkbox"; box.checked = true;
      swatch.className = "swatch"; swatch.style.background = "rgb(" + look.rgb.join(",") + ")";
      box.addEventListener("change", function () { hidden[look.label] = !box.checked; recolor(); });
      label.append(box, " ", swatch, " " + look.name);
      document.getElementById("labels").append(label);
    });
    document.getElementById("opacity").addEventListener("input", recolor);
    document.getElementById("view").addEventListener("change", function () { view.setSliceType(Number(this.value)); });
    lesions();
    view.setInterpolation(false);
    view.opts.multiplanarShowRender = niivue.SHOW_RENDER.NEVER;
    view.setSliceType(Number(document.getElementById("view").value));
    await update();
    go(given.center);
    document.body.dataset.ready = "1";
  };
  // The page is opened as viewer/index.html#cohort/model/case; only names of such files may be loaded.
  var parts = location.hash.slice(1).split("/").map(decoded);
  if (parts.length !== 3 || !parts.every(function (part) { return /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(part); })) {
    say("Open a case from the report.");
    return;
  }
  // As reporting/report_parts.py writes the names of cohorts and models in ids.
  function slug(name) {
    return name.replace(/[^a-z0-9_]/g, function (sign) { return "-x" + sign.charCodeAt(0).toString(16) + "-"; });
  }
  document.getElementById("back").href = "../index.html#case-" + slug(parts[0]) + "-" + slug(parts[1]) + "-" + parts[2];
  var source = document.createElement("script");
  source.src = parts.map(encodeURIComponent).join("/") + ".js";
  source.onerror = function () { say("The volumes of this case are not beside the page (" + source.getAttribute("src") + ")."); };
  document.body.append(source);
  addEventListener("hashchange", function () { location.reload(); });
})();
