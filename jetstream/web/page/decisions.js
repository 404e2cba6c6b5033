// What people decide of sightings: sent to the server, told in a line at the bottom of the page, and taken back from there.

import { post } from "/api.js";
import { html, useEffect, useState } from "/ui.js";

const SHOWN_S = 12;
const heard = new Set();
let line = null; // {words, report}

function show(next) {
  line = next;
  for (const listener of heard) listener(line);
}

/** Say something that can't be taken back. */
export const tell = (words) => show({ words, report: null });

/** Say who sightings or strangers are. Gives the server's report; throws its sentence. */
export async function decide(decision, words) {
  const report = await post("/api/sightings/correct", decision);
  show({ words, report });
  return report;
}

async function undo(report) {
  try {
    await post("/api/sightings/undo", { sightings: report.sightings.map((one) => one.id) });
    tell("Taken back");
  } catch (failure) {
    tell(failure.message);
  }
  dispatchEvent(new Event("decided"));
}

/** Take the newest decision back, if it is still told. */
export const undoNewest = () => line?.report && undo(line.report);

/** The line at the bottom: the newest decision, what the gallery learns from it, and the way back. */
export function DecisionLine() {
  const [told, setTold] = useState(line);
  useEffect(() => {
    heard.add(setTold);
    return () => heard.delete(setTold);
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => show(null), SHOWN_S * 1000);
    return () => clearTimeout(timer);
  }, [told]);
  if (!told) return null;
  const photos = told.report?.photos ?? 0;
  return html`<div class="decision" role="status">
    <span class="grow"><b>${told.words}.</b> ${photos > 0 && `The gallery learns from ${photos} ${photos === 1 ? "picture" : "pictures"}.`}
      ${told.report?.notes.slice(0, 2).map((note) => html`<span class="quiet"> ${note}.</span>`)}</span>
    ${told.report && html`<button onClick=${() => undo(told.report)}>Undo</button>`}
    <button class="plain" aria-label="Close" onClick=${() => show(null)}>✕</button>
  </div>`;
}
