// The slices: niivue draws the grey image of one volume, everything over it is drawn on a second canvas above it.
(function () {
  "use strict";
  const posttx = window.posttx, byId = posttx.byId;
  const viewer = posttx.viewer = {};
  // Slices by niivue's numbers: axial, coronal, sagittal; the axes of the volume that lead right, up and through them.
  const AXES = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
  const WIDE = [
    { sliceType: 0, position: [0, 0, 0.66, 1] }, { sliceType: 1, position: [0.67, 0, 0.33, 0.495] },
    { sliceType: 2, position: [0.67, 0.505, 0.33, 0.495] }
  ];
  const NARROW = [{ sliceType: 0, position: [0, 0, 1, 1] }];
  const GREYS = [1, 255], NEAR_MM = 35;
  let nv = null, shown = null, steps = [1, 1, 1], started = null;

  // The library is loaded when the first case is opened: the list needs none of it.
  viewer.start = function () { started = started || begun(); return started; };
  async function begun() {
    await posttx.load("niivue.js");
    const made = new niivue.Niivue({
      backColor: [0, 0, 0, 1], show3Dcrosshair: false, crosshairWidth: 0, isRadiologicalConvention: true,
      loadingText: "", fontColor: [0.55, 0.6, 0.65, 1], fontSizeScaling: 0.45, fontMinPx: 11, logLevel: "fatal",
      dragAndDropEnabled: false
    });
    await made.attachTo("canvas");
    if (!made.gl) { throw new Error("no WebGL2"); }
    byId("canvas").tabIndex = -1;
    byId("canvas").addEventListener("webglcontextlost", function () {
      posttx.notice("The browser has taken the graphics away: load the page again. Ratings are kept.");
    });
    made.setInterpolation(false);
    made.blurShader = made.sobelFirstOrderShader = drawsNothing(made.gl);
    const draw = made.drawScene.bind(made);
    made.drawScene = function () { draw(); if (shown) { posttx.emit("drawn"); } };
    nv = made;
    const narrow = matchMedia("(max-width: 50rem)");
    const layout = function () { nv.setCustomLayout(narrow.matches ? NARROW : WIDE); };
    narrow.addEventListener("change", layout);
    layout();
  }

  // For each image niivue computes the gradients that a 3D rendering is lit with, which we never show: most of the
  // time that an image takes without a graphics card. A program whose corners all lie outside leaves them out.
  function drawsNothing(gl) {
    const program = gl.createProgram();
    const sources = [
      [gl.VERTEX_SHADER, "#version 300 es\nvoid main() { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); }"],
      [gl.FRAGMENT_SHADER, "#version 300 es\nprecision lowp float;\nout vec4 color;\nvoid main() { color = vec4(0.0); }"]
    ];
    sources.forEach(function ([kind, source]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    return { uniforms: {}, use() { gl.useProgram(program); } };
  }

  // One volume, the finest step of images and labels: no slice of a label map is skipped where images are averaged.
  // It opens at `mm`, zoomed out; null keeps place and zoom, for another image or model of the same case.
  viewer.show = function (volume, images, mm) {
    shown = volume;
    steps = volume.dims.map((n, axis) => Math.max(1, Math.round(n * images.mm[axis] / images.native_mm[axis])));
    nv.volumes = [volume.image];
    nv.back = volume.image;
    nv.overlays = [];
    applyWindow();
    if (mm) {
      setFraction(viewer.fraction(mm));
      nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    }
    nv.updateGLVolume();
  };

  // Places: fractions of the volume along its axes, in the middle of a step.
  viewer.place = () => Array.from(nv.scene.crosshairPos);
  function snapped(fraction, axis) {
    const n = steps[axis], index = Math.min(n - 1, Math.max(0, Math.floor(fraction * n)));
    return (index + 0.5) / n;
  }
  function setFraction(fraction) { nv.scene.crosshairPos = fraction.map(snapped); }
  viewer.fraction = (mm) => posttx.toVoxel(shown, mm).map((index, axis) => (index + 0.5) / shown.dims[axis]);
  viewer.voxel = (fraction, volume) => posttx.toVoxel(volume, posttx.toWorld(shown, fraction.map((f, axis) => f * shown.dims[axis] - 0.5)));
  viewer.goTo = function (mm) { setFraction(viewer.fraction(mm)); nv.drawScene(); };
  viewer.move = function (fraction) { setFraction(fraction); nv.drawScene(); };
  viewer.step = function (by, slice) {
    const axis = AXES[slice || 0][2], place = viewer.place();
    place[axis] += by / steps[axis];
    viewer.move(place);
  };
  viewer.slice = () => ({ index: Math.floor(viewer.place()[2] * steps[2]) + 1, of: steps[2] });

  // Where the slices stand on the canvas: x = left + right * fraction along the first axis, y likewise, in CSS pixels.
  viewer.tiles = function () {
    const scale = nv.uiData.dpr || 1;
    return nv.screenSlices.filter((tile) => tile.axCorSag < AXES.length).map(function (tile) {
      const axes = AXES[tile.axCorSag], corners = [[0, 0, 0], [1, 1, 1]].map((place) => onCanvas(tile, place, axes, scale));
      const [left, top, width, height] = tile.leftTopWidthHeight.map((length) => length / scale);
      return {
        slice: tile.axCorSag, axes, rectangle: [width < 0 ? left + width : left, top, Math.abs(width), height],
        x: [corners[0][0], corners[1][0] - corners[0][0]], y: [corners[0][1], corners[1][1] - corners[0][1]]
      };
    });
  };
  function onCanvas(tile, place, axes, scale) {
    const mm = nv.frac2mm(place), [left, top, width, height] = tile.leftTopWidthHeight;
    const across = (mm[axes[0]] - tile.leftTopMM[0]) / tile.fovMM[0];
    const up = (mm[axes[1]] - tile.leftTopMM[1]) / tile.fovMM[1];
    return [(left + across * width) / scale, (top + (1 - up) * height) / scale];
  }
  viewer.under = function (x, y) {
    const tile = viewer.tiles().find(({ rectangle: [left, top, width, height] }) =>
      x >= left && x <= left + width && y >= top && y <= top + height);
    if (!tile) { return null; }
    const fraction = viewer.place();
    fraction[tile.axes[0]] = (x - tile.x[0]) / tile.x[1];
    fraction[tile.axes[1]] = (y - tile.y[0]) / tile.y[1];
    return { slice: tile.slice, fraction };
  };

  // Zoom about a place, which stays in the middle; 1 shows the whole head.
  viewer.zoom = () => nv.scene.pan2Dxyzmm[3];
  viewer.setZoom = function (zoom, place) {
    const factor = Math.min(20, Math.max(1, zoom));
    const middle = nv.frac2mm([0.5, 0.5, 0.5]), target = nv.frac2mm(place || viewer.place());
    const pan = [0, 1, 2].map((axis) => factor === 1 ? 0 : middle[axis] - factor * target[axis]);
    nv.setPan2Dxyzmm([...pan, factor]);
  };
  viewer.zoomTo = function (mm, radius) {
    const extent = Math.max(...shown.dims.map((n, axis) => n * Math.hypot(...shown.affine.map((row) => row[axis]))));
    setFraction(viewer.fraction(mm));
    viewer.setZoom(extent / 2 / Math.max(NEAR_MM, 1.6 * radius));
  };

  // Window and level: in grey values of the volume here, in units of the scanner where they are shown.
  const windows = {};
  function applyWindow() {
    const [low, high] = windows[posttx.view.modality] || GREYS;
    shown.image.cal_min = low === GREYS[0] ? 0.5 : low;
    shown.image.cal_max = high;
  }
  viewer.window = () => windows[posttx.view.modality] || GREYS;
  viewer.setWindow = function (pair) {
    if (pair) { windows[posttx.view.modality] = pair; } else { delete windows[posttx.view.modality]; }
    posttxKept.set("windows", JSON.stringify(windows));
    applyWindow();
    nv.updateGLVolume();
  };
  viewer.inScannerUnits = function (image) {
    const unit = (image.high - image.low) / (GREYS[1] - GREYS[0]), [low, high] = viewer.window();
    return { width: (high - low) * unit, level: image.low + ((low + high) / 2 - GREYS[0]) * unit };
  };
  viewer.recallWindows = function () {
    try {
      Object.entries(JSON.parse(posttxKept.get("windows") || "{}")).forEach(function ([name, pair]) {
        if (Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite) && pair[0] < pair[1]) { windows[name] = pair; }
      });
    } catch (error) { posttxKept.set("windows", "{}"); }
  };
})();
