// Adds entries to the log as they come. Without this script the page is the log as it was
// when it was loaded. Text from the store becomes text, never markup.
"use strict";
(() => {
  const table = document.getElementById("log");
  const entries = document.getElementById("entries");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const missed = document.getElementById("missed");
  const row = document.getElementById("row");
  const most = 500; // rows that are kept
  let after = Number(table.dataset.after);
  let paused = false;
  let ended = false;
  let source = null;
  let count = 0;
  let gaps = 0; // entries that the server left out

  const say = (state, text) => {
    live.dataset.state = state;
    if (live.textContent !== text) live.textContent = text;
  };

  const put = (element, pieces) => {
    for (const piece of pieces || []) {
      if (!piece.escape) {
        element.append(piece.text);
        continue;
      }
      const escape = document.createElement("span");
      escape.className = "escape";
      escape.title = piece.escape;
      escape.textContent = piece.text;
      element.append(escape);
    }
  };

  const add = (entry) => {
    if (entry.sequence <= after) return;
    after = entry.sequence;
    const tr = row.content.firstElementChild.cloneNode(true);
    tr.id = "e" + entry.sequence;
    tr.className = entry.problem ? "bad new" : "new";
    const [number, when, key, value] = tr.children;
    number.textContent = entry.number;
    when.firstElementChild.textContent = entry.time;
    when.firstElementChild.dateTime = entry.machine;
    const link = key.firstElementChild;
    link.href = entry.url;
    if (entry.key) put(link, entry.key);
    else link.textContent = "the empty key";
    const [problem, preview] = value.children;
    if (entry.problem) put(problem, entry.problem);
    else problem.remove();
    put(preview, entry.preview);
    if (entry.cut) preview.append("…");
    entries.prepend(tr);
    while (entries.rows.length > most) entries.lastElementChild.remove();
    document.getElementById("none")?.remove();
    count++;
  };

  const close = () => {
    source?.close();
    source = null;
  };

  const open = () => {
    if (source || paused || ended || document.hidden) return;
    say("connecting", "Connecting…");
    source = new EventSource("/log/events?after=" + after);
    source.addEventListener("entry", (e) => {
      add(JSON.parse(e.data));
      say("live", `Live: ${count} new since the page was loaded.`);
    });
    source.addEventListener("missed", (e) => {
      gaps += JSON.parse(e.data);
      missed.hidden = false;
      missed.textContent = `${gaps} ${gaps === 1 ? "entry is" : "entries are"} not listed here. Search by sequence to see ${gaps === 1 ? "it" : "them"}.`;
    });
    source.addEventListener("status", (e) => {
      const status = JSON.parse(e.data);
      if (status.state === "live") say("live", count ? `Live: ${count} new since the page was loaded.` : "Live: entries appear as they come.");
      else if (status.state === "trouble") say("trouble", status.text);
      else {
        ended = true;
        close();
        say("ended", "Not live any more: " + status.text);
      }
    });
    source.onerror = () => {
      if (ended) return;
      if (source?.readyState === EventSource.CLOSED) {
        close();
        say("off", "Not live: the server ended the stream. Reload the page to see what is new.");
      } else say("trouble", "The server does not answer. The page tries again.");
    };
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) return open();
    close();
    say("paused", "Paused.");
  });
  // A browser opens few connections to one server: pages that nobody sees hold none.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
