// The config in effect, and where each key came from.

import { get } from "/api.js";
import { Coded, Failure, html, useLoaded, useState } from "/ui.js";

export default function Config() {
  const { value: keys, error } = useLoaded(() => get("/api/config"), []);
  const [wanted, setWanted] = useState("");
  const [isWhole, setWhole] = useState(false);
  if (!keys) return html`<${Failure} text=${error} />`;
  const words = wanted.toLowerCase();
  const shown = keys.filter(
    (one) => (isWhole || one.origin !== "default") && `${one.table}.${one.key} ${one.value} ${one.meaning}`.toLowerCase().includes(words),
  );
  const tables = [...new Set(shown.map((one) => one.table))];
  return html`
    <p class="quiet">This is only shown here. To change a key, edit the config file, then reload or start jetstream again.</p>
    <div class="filters">
      <label class="narrow">Find<input type="search" value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${isWhole} onChange=${(event) => setWhole(event.target.checked)} /> also keys that have their default</label>
    </div>
    ${!tables.length && html`<p class="quiet">No such key.</p>`}
    ${tables.map((table) => html`<section key=${table} class="card keys" aria-label=${table}>
      <h2><code>${table}</code></h2>
      <dl>
        ${shown.filter((one) => one.table === table).map((one) => html`<div key=${one.key}>
          <dt><code>${one.key} = ${one.value}</code><span class="tag">${one.origin}</span></dt>
          <dd class="quiet small"><${Coded} text=${one.meaning} /></dd>
        </div>`)}
      </dl>
    </section>`)}
  `;
}
