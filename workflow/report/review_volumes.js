// Volumes of the cases near the one that is shown: loaded and decoded once, those far away let go.
(function () {
  "use strict";
  const posttx = window.posttx;
  const FARTHEST = 2;
  const kept = new Map();

  // Row-major 3 x 4 of a NIfTI, and what leads from mm to the middle of voxels.
  function inverse(m) {
    const [[a, b, c], [d, e, f], [g, h, i]] = m;
    const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    const rows = [
      [e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f],
      [d * h - e * g, b * g - a * h, a * e - b * d]
    ].map((row) => row.map((value) => value / det));
    return rows.map((row) => [...row, -(row[0] * m[0][3] + row[1] * m[1][3] + row[2] * m[2][3])]);
  }
  function applied(m, p) { return m.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]); }
  posttx.toVoxel = (volume, mm) => applied(volume.toVoxel, mm);
  posttx.toWorld = (volume, voxel) => applied(volume.affine, voxel);

  async function decoded(base64, name) {
    const image = await niivue.NVImage.loadFromBase64({
      base64, name: name + ".nii.gz", colormap: "gray", cal_min: 0.5, cal_max: 255, trustCalMinMax: true
    });
    const affine = image.hdr.affine.slice(0, 3);
    return { image, data: image.img, dims: image.hdr.dims.slice(1, 4), affine, toVoxel: inverse(affine) };
  }
  function once(key, make) {
    if (!kept.has(key)) {
      const made = make();
      // what could not be had is asked for anew when it is wanted again
      made.catch(() => kept.delete(key));
      kept.set(key, made);
    }
    return kept.get(key);
  }
  const imagesKey = (at) => ["images", at.cohort, at.case].join("\t");
  const labelsKey = (at) => ["labels", at.cohort, at.model, at.case].join("\t");
  posttx.images = (at) => once(imagesKey(at), () => posttx.imagesOf(at.cohort, at.case));
  posttx.labels = (at) => once(labelsKey(at), () => posttx.labelsOf(at.cohort, at.model, at.case));
  posttx.imageVolume = (at, name) => once(imagesKey(at) + "\t" + name, async function () {
    return decoded((await posttx.images(at)).images[name].nii, name);
  });
  posttx.labelVolume = (at, kind) => once(labelsKey(at) + "\t" + kind, async function () {
    const base64 = (await posttx.labels(at)).maps[kind];
    return base64 ? decoded(base64, kind) : null;
  });

  // Load the neighbours in the list while the reader looks, the next one first; forget what is far away.
  function near(at) {
    const cases = posttx.viewable().map((row) => row.case), here = cases.indexOf(at.case);
    return here < 0 ? [at.case] : cases.slice(Math.max(0, here - FARTHEST), here + FARTHEST + 1);
  }
  function forget(at) {
    const cases = new Set([at.case, ...near(at)]);
    for (const key of kept.keys()) {
      const parts = key.split("\t"), id = parts[0] === "images" ? parts[2] : parts[3];
      if (parts[1] !== at.cohort || !cases.has(id)) { kept.delete(key); }
    }
  }
  const idle = () => new Promise((done) => { (window.requestIdleCallback || setTimeout)(done, { timeout: 2000 }); });
  posttx.prepare = async function (at, modality) {
    forget(at);
    const still = () => posttx.state.case === at.case && posttx.state.model === at.model;
    const cases = near(at), here = cases.indexOf(at.case);
    for (const id of [cases[here + 1], cases[here - 1]].filter(Boolean)) {
      const next = { cohort: at.cohort, model: at.model, case: id };
      for (const work of [
        () => posttx.labels(next), () => posttx.imageVolume(next, modality), () => posttx.labelVolume(next, "reference"),
        () => posttx.labelVolume(next, "prediction")
      ]) {
        await idle();
        if (!still()) { return; }
        try { await work(); } catch (error) { break; }
      }
    }
    for (const name of Object.keys((await posttx.images(at)).images)) {
      await idle();
      if (!still()) { return; }
      await posttx.imageVolume(at, name);
    }
    document.body.dataset.prepared = at.case;
  };
})();
