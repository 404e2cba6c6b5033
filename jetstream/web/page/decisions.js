// What people decide of sightings: sent to the server, told in a line at the bottom of the page, and taken back from there.

import { post } from "/api.js";
import { live } from "/live_socket.js";
import { html, useEffect, useState } from "/ui.js";

const SHOWN_S = 12;
const heard = new Set();
let line = null;

function tell(next) {
  line = next;
  for (const listener of heard) listener(line);
}

/** Say who sightings or strangers are. Gives the server's report; throws its sentence. */
export async function decide(decision, words) {
  const before = live.news?.gallery?.sha256;
  const report = await post("/api/sightings/correct", decision);
  const learns = report.photos > 0;
  tell({ words, report, state: learns ? "learning" : "done", before });
  return report;
}

async function undo(report) {
  await post("/api/sightings/undo", { sightings: report.sightings.map((one) => one.id) });
  tell({ words: "Taken back", report: null, state: "done" });
  dispatchEvent(new Event("decided"));
}

/** Take the newest decision back, if it is still told. */
export const undoNewest = () => line?.report && undo(line.report);

/** The line at the bottom: the newest decision, whether the gallery has learnt it, and the way back. */
export function DecisionLine() {
  const [told, setTold] = useState(line);
  useEffect(() => {
    heard.add(setTold);
    return () => heard.delete(setTold);
  }, []);
  useEffect(
    () => live.onNews(() => line?.state === "learning" && live.news?.gallery && live.news.gallery.sha256 !== line.before && tell({ ...line, state: "learnt" })),
    [],
  );
  useEffect(() => {
    if (!told || told.state === "learning") return;
    const timer = setTimeout(() => tell(null), SHOWN_S * 1000);
    return () => clearTimeout(timer);
  }, [told]);
  if (!told) return null;
  const photos = told.report?.photos ?? 0;
  const learning = { learning: "The gallery is learning it…", learnt: "The gallery has learnt it.", done: "" }[told.state];
  return html`<div class="decision" role="status">
    <span class="grow"><b>${told.words}.</b> ${photos > 0 && `${photos} ${photos === 1 ? "picture" : "pictures"} to learn from. `}${learning}
      ${told.report?.notes.slice(0, 2).map((note) => html`<span class="quiet"> ${note}.</span>`)}</span>
    ${told.report && html`<button onClick=${() => undo(told.report)}>Undo</button>`}
    <button class="plain" aria-label="Close" onClick=${() => tell(null)}>✕</button>
  </div>`;
}
