// What stands over the grey image: reference solid, prediction dashed, errors filled, and a thin crosshair with a gap.
(function () {
  "use strict";
  const posttx = window.posttx, viewer = posttx.viewer, byId = posttx.byId;
  const overlay = posttx.overlay = { maps: {} };
  const DASH = [5, 4], LINE = 1.8, HALO = 3.4, GAP = 14, CORNER = 0.25, ADDED = 100;
  const KINDS = { both: ["reference", "prediction"], reference: ["reference"], prediction: ["prediction"], errors: ["errors"], none: [] };
  let outlines = new WeakMap();

  // The slice of a label map at a fraction of the shown image: rows of the array, or null where the map does not reach.
  function sliceOf(volume, axes, fraction) {
    const index = Math.round(viewer.voxel(fraction, volume)[axes[2]]);
    return index >= 0 && index < volume.dims[axes[2]] ? index : null;
  }
  // Closed outlines of a label in a slice, along the edges of voxels: lists of corners, inside always on one side.
  function loopsOf(volume, axes, index, label) {
    const [nx, ny] = [volume.dims[axes[0]], volume.dims[axes[1]]];
    const strides = [1, volume.dims[0], volume.dims[0] * volume.dims[1]];
    const [sx, sy, start] = [strides[axes[0]], strides[axes[1]], index * strides[axes[2]]];
    const inside = (x, y) => x >= 0 && y >= 0 && x < nx && y < ny && volume.data[start + x * sx + y * sy] === label;
    const wide = nx + 1, next = new Map();
    const edge = function (x0, y0, x1, y1) {
      const from = x0 + y0 * wide, known = next.get(from);
      if (known) { known.push(x1 + y1 * wide); } else { next.set(from, [x1 + y1 * wide]); }
    };
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        if (!inside(x, y)) { continue; }
        if (!inside(x, y - 1)) { edge(x, y, x + 1, y); }
        if (!inside(x + 1, y)) { edge(x + 1, y, x + 1, y + 1); }
        if (!inside(x, y + 1)) { edge(x + 1, y + 1, x, y + 1); }
        if (!inside(x - 1, y)) { edge(x, y + 1, x, y); }
      }
    }
    const loops = [];
    for (const first of next.keys()) {
      while (next.get(first).length) {
        const loop = [];
        for (let at = first; ;) {
          loop.push([at % wide - 0.5, Math.floor(at / wide) - 0.5]);
          at = next.get(at).pop();
          if (at === first) { break; }
        }
        loops.push(loop);
      }
    }
    return loops;
  }
  // Corners are cut by a quarter of a voxel: a single voxel becomes an octagon, not a dot or a diamond.
  function softened(loop) {
    return loop.flatMap(function ([x, y], i) {
      const [u, v] = loop[(i + 1) % loop.length];
      return [[x + CORNER * (u - x), y + CORNER * (v - y)], [u - CORNER * (u - x), v - CORNER * (v - y)]];
    });
  }
  // The largest in the slice first: where outlines share an edge, that of the smaller label is drawn over it.
  function labelsIn(volume, axes, index) {
    const strides = [1, volume.dims[0], volume.dims[0] * volume.dims[1]], found = new Map();
    for (let y = 0; y < volume.dims[axes[1]]; y++) {
      for (let x = 0; x < volume.dims[axes[0]]; x++) {
        const label = volume.data[index * strides[axes[2]] + x * strides[axes[0]] + y * strides[axes[1]]];
        if (label) { found.set(label, (found.get(label) || 0) + 1); }
      }
    }
    return [...found.keys()].sort((a, b) => found.get(b) - found.get(a) || a - b);
  }
  function outlinesOf(volume, axes, index) {
    const known = outlines.get(volume) || outlines.set(volume, new Map()).get(volume), key = axes[2] + "/" + index;
    if (!known.has(key)) {
      known.set(key, labelsIn(volume, axes, index).map((label) => ({ label, loops: loopsOf(volume, axes, index, label).map(softened) })));
    }
    return known.get(key);
  }
  // The labels that are outlined in a slice, in the order in which they are drawn.
  overlay.outlines = function (kind, slice) {
    const volume = overlay.maps[kind], tile = viewer.tiles().find((one) => one.slice === slice);
    const index = volume && tile ? sliceOf(volume, tile.axes, viewer.place()) : null;
    return index === null ? [] : outlinesOf(volume, tile.axes, index).map((one) => one.label);
  };

  function colorOf(label) {
    const found = posttx.data.classes.find((one) => one.label === label % ADDED);
    return found && !posttx.view.hidden.has(found.name) ? posttx.color(found.name) : null;
  }
  // From voxels of a label map to pixels of a tile: both lie along the axes of the shown image.
  function pixelsOf(volume, tile) {
    const zero = viewer.voxel([0, 0, 0], volume), one = viewer.voxel([1, 1, 1], volume);
    const line = (axis, [start, length]) => (index) => start + length * (index - zero[axis]) / (one[axis] - zero[axis]);
    return [line(tile.axes[0], tile.x), line(tile.axes[1], tile.y)];
  }
  function pathOf(loops, [toX, toY]) {
    const path = new Path2D();
    loops.forEach(function (loop) {
      loop.forEach(([x, y], i) => { if (i) { path.lineTo(toX(x), toY(y)); } else { path.moveTo(toX(x), toY(y)); } });
      path.closePath();
    });
    return path;
  }
  function stroke(context, path, color, dashed) {
    context.setLineDash(dashed ? DASH : []);
    context.strokeStyle = "rgb(0 0 0 / 0.45)";
    context.lineWidth = HALO;
    context.stroke(path);
    context.strokeStyle = color;
    context.lineWidth = LINE;
    context.stroke(path);
  }
  function drawMap(context, tile, kind) {
    const volume = overlay.maps[kind], index = volume ? sliceOf(volume, tile.axes, viewer.place()) : null;
    if (index === null) { return; }
    const pixels = pixelsOf(volume, tile);
    outlinesOf(volume, tile.axes, index).forEach(function ({ label, loops }) {
      const color = colorOf(label), added = label > ADDED;
      if (!color) { return; }
      const path = pathOf(loops, pixels);
      if (kind === "errors") {
        context.globalAlpha = added ? 0.25 : 0.6;
        context.fillStyle = color;
        context.fill(path, "evenodd");
        context.globalAlpha = 1;
      }
      stroke(context, path, color, kind === "prediction" || added);
    });
  }
  function drawCrosshair(context, tile) {
    const place = viewer.place(), [left, top, width, height] = tile.rectangle;
    const x = Math.round(tile.x[0] + tile.x[1] * place[tile.axes[0]]) + 0.5;
    const y = Math.round(tile.y[0] + tile.y[1] * place[tile.axes[1]]) + 0.5;
    context.setLineDash([]);
    context.strokeStyle = "rgb(255 255 255 / 0.55)";
    context.lineWidth = 1;
    context.beginPath();
    [[left, y, x - GAP, y], [x + GAP, y, left + width, y], [x, top, x, y - GAP], [x, y + GAP, x, top + height]].forEach(function (line) {
      context.moveTo(line[0], line[1]);
      context.lineTo(line[2], line[3]);
    });
    context.stroke();
  }

  overlay.draw = function () {
    const canvas = byId("overlay"), scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const size = [Math.round(box.width * scale), Math.round(box.height * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) { [canvas.width, canvas.height] = size; }
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    viewer.tiles().forEach(function (tile) {
      context.save();
      context.beginPath();
      context.rect(...tile.rectangle);
      context.clip();
      if (!posttx.view.hiding) { KINDS[posttx.view.overlay].forEach((kind) => drawMap(context, tile, kind)); }
      drawCrosshair(context, tile);
      context.restore();
    });
  };
  posttx.on("drawn", overlay.draw);
  posttx.on("palette", function () { if (posttx.current.volume) { overlay.draw(); } });
})();
