// What this browser keeps: choices of looks for every page, ratings by run, model and rater.
(function () {
  "use strict";
  const posttx = window.posttx;
  // Storage may be forbidden for files: then what is kept lasts as long as the page is open.
  const memory = {};
  posttx.remember = function (name, value) {
    try {
      localStorage.setItem("posttx-" + name, value);
      delete memory[name];
    } catch (error) { memory[name] = value; }
  };
  posttx.remembered = function (name) {
    if (Object.hasOwn(memory, name)) { return memory[name]; }
    try { return localStorage.getItem("posttx-" + name); } catch (error) { return null; }
  };
})();
