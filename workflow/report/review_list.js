// The pane of list.
(function () {
  "use strict";
})();
