// What can be said of one sighting.

import { decide } from "/decisions.js";
import { NameDialog } from "/dialogs.js";
import { Failure, html, useState } from "/ui.js";

export function Decisions({ sighting, who, onDone }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState("");
  if (who.may === "look") return null;
  const say = async (decision, words) => {
    setError("");
    await decide({ sightings: [sighting.id], ...decision }, words);
    onDone();
  };
  const quietly = (sent) => sent.catch((failure) => setError(failure.message));
  const name = sighting.name;
  return html`<div class="buttons actions">
    ${name && !sighting.correction && html`<button onClick=${() => quietly(say({ verdict: "name", name }, `It is ${name}`))}>It is ${name}</button>`}
    ${sighting.machine_name && sighting.correction !== "not" && html`<button onClick=${() => quietly(say({ verdict: "not" }, `It is not ${sighting.machine_name}`))}>Not ${sighting.machine_name}</button>`}
    <button onClick=${() => setAsking(true)}>This is…</button>
    ${!name && sighting.correction !== "ignore" && html`<button onClick=${() => quietly(say({ verdict: "ignore" }, "Ignored"))}>Ignore</button>`}
    <${Failure} text=${error} />
    ${isAsking && html`<${NameDialog} title="Who is it?" onClose=${() => setAsking(false)}
      onName=${(given) => say({ verdict: "name", name: given }, `It is ${given}`)} />`}
  </div>`;
}
