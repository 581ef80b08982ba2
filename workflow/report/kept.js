/* What this browser keeps for all pages of a report: the looks, and the ratings of a run by each rater. */
const posttxKept = (function () {
  "use strict";
  const PALETTES = ["scheme", "okabe-ito"], LONGEST = 500, RATER = 40;

  // Storage may be forbidden for files: then what is kept lasts as long as the page is open.
  const memory = new Map();
  function set(name, value) {
    try {
      localStorage.setItem("posttx-" + name, value);
      memory.delete(name);
    } catch (error) { memory.set(name, value); }
  }
  function get(name) {
    if (memory.has(name)) { return memory.get(name); }
    try { return localStorage.getItem("posttx-" + name); } catch (error) { return null; }
  }
  const lasts = () => memory.size === 0;

  /* Show the page in the system's theme until the reader chooses one by the button. */
  function theme(button) {
    const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    function show(name) {
      if (["dark", "light"].includes(name)) { root.dataset.theme = name; }
      // the style sheet of DataTables asks for the class
      root.classList.toggle("dark", dark());
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours");
    }
    show(get("theme"));
    system.addEventListener("change", () => show(null));
    button.addEventListener("click", function () {
      const next = dark() ? "light" : "dark";
      set("theme", next);
      show(next);
    });
  }
  /* The palette that the reader chose last, or the one given. */
  function palette(otherwise) {
    const kept = get("palette");
    return PALETTES.includes(kept) ? kept : otherwise;
  }
  function nextPalette(name) {
    const next = name === PALETTES[0] ? PALETTES[1] : PALETTES[0];
    set("palette", next);
    return next;
  }

  const rater = () => (get("rater") || "").trim().slice(0, RATER);
  function setRater(name) { set("rater", name.trim().slice(0, RATER)); }
  const key = (cohort, id, model) => [cohort, id, model].join("\t");
  const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
  const oneLine = (text) => text.replace(/\s+/g, " ").trim();

  /* The ratings of a run: entries {rating, comment, reasons} by `key`, of the rater who is named where none is given.
     `run()` tells the run, `values` are the ratings that the page knows; without them it takes any. */
  function ratings(run, values) {
    const shelf = (who) => `ratings-${run()}-${who}`;
    // What is stored may be of another program, or torn: of each entry no more is taken than a page writes.
    function checked(entry) {
      const { rating, comment, reasons } = object(entry);
      if (typeof rating !== "string" || typeof comment !== "string") { return null; }
      if (rating && values && !values.includes(rating)) { return null; }
      const told = Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === "string") : [];
      const made = {
        rating, comment: posttxCsv.unguarded(oneLine(comment)).slice(0, LONGEST),
        reasons: told.map((reason) => oneLine(reason.replace(/;/g, ",")).slice(0, LONGEST)).filter(Boolean)
      };
      return made.rating || made.comment ? made : null;
    }
    function all(who = rater()) {
      let found = {};
      try { found = object(JSON.parse(get(shelf(who)) || "{}")); } catch (error) { found = {}; }
      const known = {};
      Object.keys(found).forEach(function (name) {
        const entry = checked(found[name]);
        if (entry && name.split("\t").length === 3) { known[name] = entry; }
      });
      return known;
    }
    // Read again before it is written: another window may have rated meanwhile.
    function merge(changes, who = rater()) {
      const known = all(who);
      Object.entries(changes).forEach(function ([name, entry]) {
        const kept = entry && checked(entry);
        if (kept) { known[name] = kept; } else { delete known[name]; }
      });
      set(shelf(who), JSON.stringify(known));
    }
    const forget = () => set(shelf(rater()), "{}");
    // Whether what another window has stored concerns these ratings.
    const concerned = (event) => event.key === "posttx-" + shelf(rater());
    return { checked, all, merge, forget, concerned };
  }

  return { set, get, lasts, theme, palette, nextPalette, rater, setRater, key, ratings };
})();
