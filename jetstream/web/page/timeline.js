// Who was where: who is here now, and sightings by day, the newest first.

import { get } from "/api.js";
import { Filters, queryOf, useFilters } from "/timeline_filters.js";
import { Look, Sure, goesOn, lookOf, placeOf, saidOf, whoOf } from "/sighting_parts.js";
import { SightingPage } from "/sighting.js";
import { dayOf, length, nameOf, since, time, until } from "/times.js";
import { Empty, Failure, Link, html, useEffect, useEvery, useLoaded, useNews, useRef, useState } from "/ui.js";

const A_PART = 50;
const MOST = 200;
const HERE = 24;

/** Who is here, since when; then who has just left. */
function Presence() {
  const [showsAll, setShowsAll] = useState(false);
  const { value: found, error, again } = useLoaded(() => get("/api/presence"), []);
  useNews(again, 3);
  useEvery(10, again);
  if (!found) return html`<${Failure} text=${error} />`;
  const here = found.people.filter((one) => one.state === "here");
  const left = found.people.filter((one) => one.state !== "here");
  const people = [...here, ...left];
  const shown = showsAll ? people : people.slice(0, HERE);
  return html`<section class="presence" aria-labelledby="now">
    <h2 id="now">Here now</h2>
    ${!here.length && !found.strangers.length && html`<p class="quiet">Nobody is in sight.</p>`}
    <ul class="people">
      ${shown.map(
        (one) => html`<li key=${one.name}>
          <${Link} to=${`/timeline/${one.sighting}`} class=${one.state === "here" ? "person here" : "person"}>
            <${Look} address=${one.look} size="40" />
            <span><b>${one.name}</b><span class="quiet">${one.state === "here" ? `${one.area}, since ${since(one.since)}` : `left ${one.area} at ${since(one.since)}`}</span></span>
          <//>
        </li>`,
      )}
      ${found.strangers.map(
        (one) => html`<li key=${`in ${one.area}`}>
          <span class="person here"><${Look} size="40" /><span><b>${one.count} ${one.count === 1 ? "stranger" : "strangers"}</b><span class="quiet">${one.area}</span></span></span>
        </li>`,
      )}
    </ul>
    ${people.length > shown.length && html`<button onClick=${() => setShowsAll(true)}>Show ${people.length - shown.length} more</button>`}
  </section>`;
}

/** The sightings asked for, a part at a time; the newest ones are asked for again when there is news. */
function useSightings(query) {
  const [list, setList] = useState(null); // {sightings, next}
  const [error, setError] = useState("");
  const state = useRef({ isAsking: false, isDue: false });
  const ask = useRef(null);
  ask.current = async (before) => {
    if (state.current.isAsking) {
      state.current.isDue ||= !before;
      return;
    }
    state.current.isAsking = true;
    const most = before ? A_PART : Math.min(MOST, Math.max(A_PART, list?.sightings.length ?? 0));
    try {
      const found = await get(`/api/sightings?${query}most=${most}${before ? `&before=${before}` : ""}`);
      setList(before ? { sightings: [...list.sightings, ...found.sightings], next: found.next } : joined(found, list));
      setError("");
    } catch (failure) {
      if (before && failure.status === 404) state.current.isDue = true; // what the part came after was deleted
      else setError(failure.message);
    }
    state.current.isAsking = false;
    if (state.current.isDue) {
      state.current.isDue = false;
      setTimeout(() => ask.current()); // after the list is shown
    }
  };
  useEffect(() => {
    ask.current();
  }, []);
  useNews(() => ask.current());
  useEvery(10, () => (!list || error || list.sightings.some(goesOn)) && ask.current());
  return { list, error, more: () => list?.next && ask.current(list.next) };
}

/** The newest part, then what is known to come after it. */
function joined(newest, known) {
  const last = newest.sightings.at(-1);
  const at = newest.next && known ? known.sightings.findIndex((one) => one.id === last.id) : -1;
  if (at < 0 || at + 1 >= known.sightings.length) return newest;
  return { sightings: [...newest.sightings, ...known.sightings.slice(at + 1)], next: known.next };
}

function Row({ sighting }) {
  const isOpen = goesOn(sighting);
  const end = isOpen ? new Date().toISOString() : sighting.end;
  const said = saidOf(sighting);
  return html`<li class=${isOpen ? "sighting open" : "sighting"}>
    <${Link} to=${`/timeline/${sighting.id}${location.search}`}>
      <${Look} address=${lookOf(sighting)} size="56" />
      <span class="grow">
        <span class="first"><b class=${sighting.name === null ? "stranger" : ""}>${whoOf(sighting)}</b><${Sure} sighting=${sighting} /></span>
        <span class="quiet">${placeOf(sighting)}${sighting.zones.length > 0 && ` · ${sighting.zones.map((one) => one.name).join(", ")}`}</span>
        <span class="quiet times"
          ><time datetime=${sighting.begin}>${time(sighting.begin)}</time> – ${isOpen ? html`<b class="now">now</b>` : until(sighting.begin, sighting.end)}${" "}<span class="length">· ${length(sighting.begin, end)}</span></span
        >
        ${said && html`<span class="said">${sighting.correction === "name" ? "corrected" : said}</span>`}
      </span>
    <//>
  </li>`;
}

const Nothing = ({ isFiltered }) =>
  isFiltered
    ? html`<${Empty} title="No such sighting"><p>Choose another day, or take a filter away.</p><//>`
    : html`<${Empty} title="No sighting yet">
        <p>A face that a camera follows for half a second becomes a sighting: who it was, where, and from when to when.</p>
        <p>
          Sightings are recorded while jetstream runs, unless <code>sightings.enabled</code> is false. Someone whose photos are in the folder <code>faces</code> is
          named; everybody else gets a number.
        </p>
        <p><${Link} to="/live" class="button">See whether the cameras show faces<//></p>
      <//>`;

function List({ filters, query }) {
  const { list, error, more } = useSightings(query);
  const end = useRef(null);
  const latest = useRef(more);
  latest.current = more;
  useEffect(() => {
    if (!list?.next) return;
    const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && latest.current(), { rootMargin: "600px" });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [list]);
  if (!list) return html`<${Failure} text=${error} />${!error && html`<p class="quiet" aria-busy="true">Loading…</p>`}`;
  if (!list.sightings.length) return html`<${Failure} text=${error} /><${Nothing} isFiltered=${query !== ""} />`;
  const days = [];
  for (const sighting of list.sightings) {
    const day = dayOf(new Date(sighting.begin));
    if (days.at(-1)?.day !== day) days.push({ day, sightings: [] });
    days.at(-1).sightings.push(sighting);
  }
  return html`
    <${Failure} text=${error} />
    ${filters.day && days[0].day !== filters.day && html`<p class="quiet">No sighting began on ${nameOf(filters.day)}. Earlier ones:</p>`}
    ${days.map(
      ({ day, sightings }) => html`<section key=${day} aria-labelledby=${`day-${day}`}>
        <h2 class="day" id=${`day-${day}`}>${nameOf(day)}</h2>
        <ol class="sightings">
          ${sightings.map((sighting) => html`<${Row} key=${sighting.id} sighting=${sighting} />`)}
        </ol>
      </section>`,
    )}
    <p ref=${end} class="quiet end">
      ${list.next ? html`<button onClick=${more}>Show earlier sightings</button>` : "That was the first one."}
    </p>
  `;
}

export default function Timeline({ path, who }) {
  const { filters, change } = useFilters();
  const query = queryOf(filters);
  const isList = path === "";
  const at = useRef(0);
  useEffect(() => {
    if (!isList) return;
    document.title = "Timeline - jetstream";
    scrollTo(0, at.current);
  }, [isList]);
  return html`
    ${!isList && html`<${SightingPage} key=${path} who=${who} id=${decodeURIComponent(path)} back=${`/timeline${location.search}`} />`}
    <div class="timeline" hidden=${!isList} onClickCapture=${() => (at.current = scrollY)}>
      <h1 class="hidden">Timeline</h1>
      <${Presence} />
      <${Filters} filters=${filters} change=${change} />
      <${List} key=${query} filters=${filters} query=${query} />
    </div>
  `;
}
