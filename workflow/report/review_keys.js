// Keys, mouse and fingers of the case view.
(function () {
  "use strict";
  const posttx = window.posttx, viewer = posttx.viewer, view = posttx.view, byId = posttx.byId;
  const stage = byId("stage"), dialog = byId("keys-dialog");
  const SWIPE = 12, TAP_MS = 350, EDGE = 0.18, WINDOW_SPEED = 0.6;
  const seen = () => Boolean(posttx.current.volume);
  const inCase = () => posttx.state.view === "case";

  function hide(on) { if (view.hiding !== on && seen()) { view.hiding = on; posttx.overlay.draw(); } }
  const KEYS = {
    ArrowLeft: () => posttx.neighbour(-1), ArrowRight: () => posttx.neighbour(1),
    j: () => viewer.step(-1), k: () => viewer.step(1),
    o: () => posttx.setOverlay("both"), r: () => posttx.setOverlay("reference"), p: () => posttx.setOverlay("prediction"),
    e: () => posttx.setOverlay("errors"), h: () => posttx.setOverlay("none"),
    z: () => posttx.toggleZoom(), m: () => posttx.nextModel(), c: () => posttx.togglePalette(),
    "0": () => viewer.setWindow(null), "?": () => dialog.showModal(),
    Escape: () => posttx.go({ view: "list" })
  };
  [1, 2, 3, 4].forEach((n) => { KEYS[n] = () => posttx.setModality((posttx.data.modalities[n - 1] || [])[0]); });
  posttx.store.RATINGS.forEach(({ key, value }) => { KEYS[key] = () => posttx.rating.choose(value); });
  // These need the slices; without WebGL2 the others still work.
  const SLICES = new Set(["j", "k", "o", "r", "p", "e", "h", "z", "0", "1", "2", "3", "4"]);

  const typing = (target) => target.matches("input:not([type=checkbox]), textarea, select");
  function key(event) {
    if (!inCase() || dialog.open || event.ctrlKey || event.altKey || event.metaKey) { return; }
    if (typing(event.target)) {
      if (event.key === "Escape" || event.key === "Enter") { stage.focus(); event.preventDefault(); }
      return;
    }
    if (event.key === "Tab" && event.target === stage) { walk(event); return; }
    if (event.key === " " && !event.target.matches("button, a, input")) { event.preventDefault(); hide(true); return; }
    // with Caps Lock on, too
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = Object.hasOwn(KEYS, name) ? KEYS[name] : null;
    if (!action || (SLICES.has(name) && !seen())) { return; }
    event.preventDefault();
    action();
  }
  // Tab goes on to the rest of the page behind the last finding, and back from the first.
  function walk(event) {
    if (posttx.toFinding(view.finding + (event.shiftKey ? -1 : 1))) { event.preventDefault(); }
  }
  addEventListener("keydown", key);
  addEventListener("keyup", (event) => { if (event.key === " ") { hide(false); } });
  addEventListener("blur", () => hide(false));
  // A click on a chip leaves the keys with the slices; a press of a key on it does not.
  byId("pane-case").addEventListener("click", function (event) {
    if (event.detail > 0 && event.target.closest("button") && !dialog.open && !event.target.closest("dialog")) { stage.focus({ preventScroll: true }); }
  });
  byId("help").addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("close", () => stage.focus({ preventScroll: true }));

  function at(event) {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top, box.width];
  }
  // One drawing for all the moves that come before the browser shows the next frame.
  let waiting = null;
  function soon(action) {
    if (!waiting) { requestAnimationFrame(function () { const latest = waiting; waiting = null; if (seen()) { latest(); } }); }
    waiting = action;
  }
  stage.addEventListener("wheel", function (event) {
    if (!seen()) { return; }
    event.preventDefault();
    const found = viewer.under(...at(event));
    if (event.ctrlKey) { viewer.setZoom(viewer.zoom() * (event.deltaY < 0 ? 1.2 : 1 / 1.2)); view.zoomed = viewer.zoom() > 1; return; }
    viewer.step(event.deltaY < 0 ? 1 : -1, found ? found.slice : 0);
  }, { passive: false });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());

  // Left: the crosshair follows. Right: window to the right, level upwards.
  let drag = null;
  const fingers = new Map();
  function move(x, y) {
    const found = viewer.under(x, y);
    if (found) { viewer.move(found.fraction); }
  }
  function widen(event) {
    const [low, high] = drag.window, wider = (event.clientX - drag.x) * WINDOW_SPEED, darker = (event.clientY - drag.y) * WINDOW_SPEED;
    const width = Math.max(4, high - low + wider), middle = (low + high) / 2 + darker;
    soon(() => viewer.setWindow([middle - width / 2, middle + width / 2]));
  }
  stage.addEventListener("pointerdown", function (event) {
    if (!seen() || event.target.closest("button")) { return; }
    stage.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") { touched(event); return; }
    drag = { button: event.button, x: event.clientX, y: event.clientY, window: viewer.window() };
    if (event.button === 0) { move(...at(event)); }
  });
  stage.addEventListener("pointermove", function (event) {
    if (fingers.has(event.pointerId)) { touching(event); return; }
    if (!drag || !seen()) { return; }
    if (drag.button === 2) { widen(event); } else if (drag.button === 0) { const [x, y] = at(event); soon(() => move(x, y)); }
  });
  ["pointerup", "pointercancel"].forEach((kind) => stage.addEventListener(kind, function (event) {
    if (fingers.has(event.pointerId)) { lifted(event, kind === "pointerup"); }
    drag = null;
  }));

  // Fingers: one swipes through the slices, two zoom; a tap at the left or right edge is the previous or next case.
  let swipe = null, pinch = null;
  const apart = () => { const [one, two] = [...fingers.values()]; return Math.hypot(one[0] - two[0], one[1] - two[1]); };
  function touched(event) {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    swipe = fingers.size === 1 ? { y: event.clientY, moved: false, time: event.timeStamp } : null;
    if (fingers.size === 2) {
      const [one, two] = [...fingers.values()], box = stage.getBoundingClientRect();
      const found = viewer.under((one[0] + two[0]) / 2 - box.left, (one[1] + two[1]) / 2 - box.top);
      pinch = { apart: apart(), zoom: viewer.zoom(), place: found ? found.fraction : viewer.place() };
    }
  }
  function touching(event) {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2 && pinch) {
      const zoom = pinch.zoom * apart() / pinch.apart, place = pinch.place;
      soon(() => { viewer.setZoom(zoom, place); view.zoomed = viewer.zoom() > 1; });
    } else if (swipe) {
      const steps = Math.trunc((swipe.y - event.clientY) / SWIPE);
      if (steps) { swipe.y -= steps * SWIPE; swipe.moved = true; viewer.step(steps); }
    }
  }
  function lifted(event, whole) {
    fingers.delete(event.pointerId);
    if (fingers.size < 2) { pinch = null; }
    if (!swipe || swipe.moved || !whole || event.timeStamp - swipe.time > TAP_MS) { return; }
    const [x, y, width] = at(event);
    swipe = null;
    if (x < EDGE * width) { posttx.neighbour(-1); } else if (x > (1 - EDGE) * width) { posttx.neighbour(1); } else { move(x, y); }
  }
})();
