// The newest log lines of the run.

import { get } from "/api.js";
import { Failure, html, useEvery, useLoaded, useState } from "/ui.js";

const LEVELS = [["debug", "everything"], ["info", "info and above"], ["warning", "warnings and errors"], ["error", "errors"]];
const time = new Intl.DateTimeFormat([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export default function Log() {
  const [level, setLevel] = useState("info");
  const { value: lines, error, again } = useLoaded(() => get(`/api/log?level=${level}`), [level]);
  useEvery(3, again);
  return html`
    <label class="narrow">Show<select value=${level} onChange=${(event) => setLevel(event.target.value)}>
      ${LEVELS.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
    </select></label>
    <${Failure} text=${error} />
    ${lines && !lines.length && html`<p class="quiet">No such line since the run began.</p>`}
    <ol class="log" aria-label="Log lines, the newest first">
      ${lines?.map((line) => html`<li key=${`${line.wall_s} ${line.process} ${line.text}`} class=${line.level}>
        <time datetime=${new Date(line.wall_s * 1000).toISOString()}>${time.format(line.wall_s * 1000)}</time>
        <b>${line.level}</b>
        <code>${line.process}</code>
        <span class="text">${line.text}</span>
      </li>`)}
    </ol>
  `;
}
