// The page of one sighting: its pictures, and why it has its name.

import { get } from "/api.js";
import { Clips } from "/clips.js";
import { Decisions } from "/decision_buttons.js";
import { live } from "/live_socket.js";
import { goesOn, lookOf, placeOf, probability, saidOf, whoOf } from "/sighting_parts.js";
import { dayOf, length, nameOf, since, time, until } from "/times.js";
import { Failure, Link, html, percent, useEffect, useEvery, useLoaded, useNews } from "/ui.js";

function Facts({ sighting }) {
  const isOpen = goesOn(sighting);
  const said = saidOf(sighting);
  return html`<dl class="facts">
    <dt>Day</dt>
    <dd>${nameOf(dayOf(new Date(sighting.begin)))}</dd>
    <dt>Time</dt>
    <dd>
      ${time(sighting.begin)} – ${isOpen ? "now" : until(sighting.begin, sighting.end)}
      <span class="quiet"> · ${length(sighting.begin, isOpen ? new Date().toISOString() : sighting.end)}</span>
    </dd>
    <dt>Camera</dt>
    <dd>${placeOf(sighting)}</dd>
    ${sighting.zones.length > 0 &&
    html`<dt>Zones</dt>
      <dd>${sighting.zones.map((zone) => html`<div key=${zone.name}>${zone.name} <span class="quiet">since ${time(zone.first)}</span></div>`)}</dd>`}
    <dt>Machine</dt>
    <dd>${sighting.machine_name === null ? "gave no name" : `${sighting.machine_name}, ${percent(sighting.confidence)} sure`}</dd>
    ${said && html`<dt>A human</dt><dd>${said}</dd>`}
    <dt>Id</dt>
    <dd><code>${sighting.id}</code></dd>
  </dl>`;
}

function Why({ sighting }) {
  const inUse = live.news?.gallery?.sha256;
  return html`<section class="card" aria-labelledby="why">
    <h2 id="why">Why</h2>
    ${sighting.why.length
      ? html`<div class="words" tabindex="0" role="group" aria-label="Candidates"><table>
          <thead>
            <tr><th scope="col">Candidate</th><th scope="col">Probability</th><th scope="col">Answers</th><th scope="col">Nearest photo</th><th scope="col">Distance</th></tr>
          </thead>
          <tbody>
            ${sighting.why.map(
              (one) => html`<tr key=${one.name ?? ""}>
                <th scope="row">${one.name ?? "nobody known"}</th>
                <td>
                  <span class="bar" aria-hidden="true"><span style=${{ width: `${100 * probability(one.log_odds)}%` }}></span></span>
                  ${percent(probability(one.log_odds))}
                </td>
                <td>${one.answers}</td>
                <td>${one.photo ?? "–"}</td>
                <td>${one.distance === null ? "–" : one.distance.toFixed(2)}</td>
              </tr>`,
            )}
          </tbody>
        </table></div>
        <p class="quiet">Each answer compares one look with the photos. The probability is of this candidate alone, from all its answers.</p>`
      : html`<p class="quiet">No answer was kept: the face was too small, too blurred, or not in sight for long enough.</p>`}
    ${sighting.gallery &&
    html`<p class="quiet">
      Gallery <code>${sighting.gallery.slice(0, 12)}</code>${inUse && (inUse === sighting.gallery ? ", which is in use now." : ". Another one is in use now, which may give another name.")}
    </p>`}
  </section>`;
}

const Corrections = ({ corrections }) =>
  corrections.length > 0 &&
  html`<section class="card" aria-labelledby="said">
    <h2 id="said">What humans said</h2>
    <ul class="plain">
      ${corrections.map(
        (one, number) => html`<li key=${number}>
          ${{ name: `It is ${one.name}`, not: `It is not ${one.name}`, ignore: "A stranger who shall get no name" }[one.correction] ?? one.correction}
          <span class="quiet"> · ${since(one.at)}${one.undone && `, taken back ${since(one.undone)}`}</span>
        </li>`,
      )}
    </ul>
  </section>`;

function Others({ sighting }) {
  if (sighting.name !== null)
    return html`<${Link} to=${`/timeline?who=${encodeURIComponent(sighting.name)}`} class="button">All sightings of ${sighting.name}<//>`;
  if (sighting.stranger === null) return null;
  return html`<${Link} to=${`/timeline?who=${encodeURIComponent(whoOf(sighting))}`} class="button">All sightings of stranger ${sighting.stranger}<//>`;
}

export function SightingPage({ id, back, who }) {
  const { value: found, error, again } = useLoaded(() => get(`/api/sightings/${encodeURIComponent(id)}`), [id]);
  useNews(again);
  useEvery(10, () => found && goesOn(found.sighting) && again());
  const sighting = found?.sighting;
  useEffect(() => {
    if (sighting) document.title = `${whoOf(sighting)} - jetstream`;
  }, [sighting?.name, sighting?.stranger]);
  return html`<div class="sighting-page">
    <p><${Link} to=${back} class="button">← Timeline<//></p>
    ${!found && error && html`<h1>No such sighting</h1>`}
    <${Failure} text=${error} />
    ${!found && !error && html`<p class="quiet" aria-busy="true">Loading…</p>`}
    ${found &&
    html`<h1>${whoOf(sighting)} <span class="quiet">at ${placeOf(sighting)}</span></h1>
      <div class="looks" tabindex="0" role="group" aria-label="Pictures">
        ${sighting.looks.map((file, n) => html`<img key=${file} src=${lookOf(sighting, n)} alt=${`The face, picture ${n + 1} of ${sighting.looks.length}`} />`)}
        ${!sighting.looks.length && html`<p class="quiet">No picture was kept: the face was hidden, or the picture was deleted to make room.</p>`}
      </div>
      <${Decisions} sighting=${sighting} who=${who} onDone=${again} />
      <${Clips} key=${sighting.id} id=${sighting.id} begin=${sighting.begin} isOpen=${goesOn(sighting)} />
      <section class="card" aria-label="What is known"><${Facts} sighting=${sighting} /><${Others} sighting=${sighting} /></section>
      <${Why} sighting=${sighting} />
      <${Corrections} corrections=${found.corrections} />`}
  </div>`;
}
