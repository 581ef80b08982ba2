// The pane of patients.
(function () {
  "use strict";
})();
