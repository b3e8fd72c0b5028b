// Shows how far a verification has come, and its result when it ends. Without this script
// the page loads itself again while one is running.
"use strict";
(() => {
  if (document.getElementById("verification").dataset.running !== "true") {
    // Whoever asked for a result gets to it, be it there at once or after a while. The
    // browser has gone to the place that the address names before that.
    const read = () => requestAnimationFrame(() => document.getElementById("report-heading")?.focus());
    if (location.hash === "#progress" || location.hash === "#report-heading") addEventListener("load", read);
    return;
  }
  const bar = document.getElementById("progress-bar");
  const text = document.getElementById("progress-text");
  const source = new EventSource("/trust/events");
  // A screen reader reads each change of the text: one in a second is enough. What was
  // said last is what is so.
  let next = "";
  let timer = 0;
  const say = () => {
    timer = 0;
    if (!next) return;
    text.textContent = next;
    next = "";
    timer = setTimeout(say, 1000);
  };
  source.addEventListener("progress", (e) => {
    const p = JSON.parse(e.data);
    if (p.total > 0) bar.value = (100 * p.done) / p.total;
    next = (p.kind === "audit" ? "Audit" : "Verification") + " is running. " + p.text;
    if (!timer) say();
  });
  source.addEventListener("done", () => {
    source.close();
    // The title says the result, and the focus goes to it.
    location.replace("/trust?done=" + Date.now() + "#report-heading");
  });
  source.onerror = () => {
    next = "";
    if (source.readyState === EventSource.CLOSED) text.textContent = "The progress cannot be shown. Reload the page.";
    else text.textContent = "The server does not answer. The page tries again.";
  };
  addEventListener("pagehide", () => source.close());
})();
