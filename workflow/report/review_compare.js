// The pane of compare.
(function () {
  "use strict";
})();
