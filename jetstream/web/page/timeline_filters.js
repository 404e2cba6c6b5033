// Which sightings the timeline shows: a day, who, and where. The address of the page holds it.

import { get } from "/api.js";
import { beginOf, dayAfter, today, zone } from "/times.js";
import { Link, html, useEffect, useLoaded, useRef, useState } from "/ui.js";

const KEYS = ["day", "who", "camera", "area", "zone"];
const STRANGERS = "Strangers";

/** What the address says: {day, who, camera, area, zone}, each empty where nothing is asked for. */
export function useFilters() {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    const moved = () => setSearch(location.search);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const given = new URLSearchParams(search);
  const filters = Object.fromEntries(KEYS.map((key) => [key, given.get(key) ?? ""]));
  if (!beginOf(filters.day) || filters.day === today()) filters.day = "";
  const change = (some) => {
    const next = { ...filters, ...some };
    const wanted = new URLSearchParams(KEYS.filter((key) => next[key]).map((key) => [key, next[key]]));
    history.replaceState(null, "", `${location.pathname}${wanted.size ? `?${wanted}` : ""}`);
    setSearch(location.search);
  };
  return { filters, change };
}

/** The same as the server is asked, with a "&" at its end; empty: for all. */
export function queryOf({ day, who, camera, area, zone: where }) {
  const wanted = new URLSearchParams();
  const number = /^\s*stranger\s+(\d+)\s*$/i.exec(who)?.[1];
  if (day) wanted.set("to", beginOf(day, 1).toISOString());
  if (number) wanted.set("stranger", number);
  else if (who.trim().toLowerCase() === STRANGERS.toLowerCase()) wanted.set("unknown", "true");
  else if (who.trim()) wanted.set("person", who.trim());
  if (camera) wanted.set("camera", camera);
  if (area) wanted.set("area", area);
  if (where) wanted.set("zone", where);
  return wanted.size ? `${wanted}&` : "";
}

function Day({ filters, change }) {
  const day = filters.day || today();
  const to = (other) => beginOf(other) && change({ day: other >= today() ? "" : other });
  return html`<div class="field day-picker">
    <label for="day">Day</label>
    <div class="row">
      <button aria-label="The day before" onClick=${() => to(dayAfter(day, -1))}>‹</button>
      <input id="day" type="date" value=${day} max=${today()} onChange=${(event) => to(event.target.value)} />
      <button aria-label="The day after" disabled=${!filters.day} onClick=${() => to(dayAfter(day, 1))}>›</button>
    </div>
  </div>`;
}

/** Names to choose from: the same element as long as they are the same, since there may be thousands. */
function useNameList(people) {
  const made = useRef({});
  if (made.current.people !== people)
    made.current = {
      people,
      list: html`<datalist id="names">
        <option value=${STRANGERS} />
        ${people?.map((name) => html`<option key=${name} value=${name} />`)}
      </datalist>`,
    };
  return made.current.list;
}

export function Filters({ filters, change }) {
  const { value: names, again } = useLoaded(() => get("/api/names"), []);
  const list = useNameList(names?.people);
  const where = filters.area ? `area ${filters.area}` : filters.camera ? `camera ${filters.camera}` : "";
  const chosen = (event) => {
    const [kind, ...rest] = event.target.value.split(" ");
    change({ camera: "", area: "", ...(kind && { [kind]: rest.join(" ") }) });
  };
  const cameras = names?.cameras.map((one) => one.name) ?? [];
  const areas = names?.areas.filter((area) => !cameras.includes(area)) ?? [];
  return html`<form class="filters" aria-label="Which sightings" onSubmit=${(event) => event.preventDefault()}>
    <${Day} filters=${filters} change=${change} />
    <div class="field">
      <label for="who">Who</label>
      <input
        id="who" type="search" list="names" placeholder="everybody" autocomplete="off" value=${filters.who} onFocus=${again}
        onChange=${(event) => change({ who: event.target.value })} onSearch=${(event) => change({ who: event.target.value })}
      />
      ${list}
    </div>
    <div class="field">
      <label for="where">Where</label>
      <select id="where" value=${where} onChange=${chosen}>
        <option value="">everywhere</option>
        ${areas.length > 0 && html`<optgroup label="Areas">${areas.map((name) => html`<option key=${name} value=${`area ${name}`} selected=${where === `area ${name}`}>${name}</option>`)}</optgroup>`}
        ${cameras.length > 0 && html`<optgroup label="Cameras">${cameras.map((name) => html`<option key=${name} value=${`camera ${name}`} selected=${where === `camera ${name}`}>${name}</option>`)}</optgroup>`}
      </select>
    </div>
    ${names?.zones.length > 0 &&
    html`<div class="field">
      <label for="zone">Zone</label>
      <select id="zone" value=${filters.zone} onChange=${(event) => change({ zone: event.target.value })}>
        <option value="">any</option>
        ${names.zones.map((name) => html`<option key=${name} value=${name} selected=${filters.zone === name}>${name}</option>`)}
      </select>
    </div>`}
    ${KEYS.some((key) => filters[key]) && html`<button type="button" onClick=${() => change({ day: "", who: "", camera: "", area: "", zone: "" })}>Show all</button>`}
    <${Link} to="/search" class="button">Search by photo…<//>
    <p class="quiet zone">Times of ${zone}</p>
  </form>`;
}
