// What a list and a page of sightings both show.

import { html, percent } from "/ui.js";

export const whoOf = (sighting) =>
  sighting.name ?? (sighting.stranger === null ? "Stranger" : `Stranger ${sighting.stranger}`);

export const placeOf = ({ camera, area }) => (camera === area ? camera : `${camera} · ${area}`);

/** Whether it goes on. One that a killed run left open doesn't; clocks of browsers may differ by some minutes. */
export const goesOn = ({ state, end }) => state === "open" && Date.now() - new Date(end) < 600_000;

/** The address of a picture; another one when another picture has taken its place. */
export const lookOf = ({ id, looks }, n = 0) =>
  looks[n] ? `/api/sightings/${id}/looks/${n}?file=${encodeURIComponent(looks[n])}` : null;

/** The address of a small picture of a photo, such as "Ada/1.jpg". */
export const pictureOf = (photo) => `/api/picture?photo=${encodeURIComponent(photo)}`;

/** The probability that a sum of log odds means. */
export const probability = (logOdds) => 1 / (1 + Math.exp(-logOdds));

/** What a human said; empty: nothing. */
export function saidOf({ correction, denied, name }) {
  if (correction === "name") return `corrected to ${name}`;
  if (correction === "not") return `corrected: not ${denied}`;
  return correction === "ignore" ? "ignored" : "";
}

/** The best picture of a sighting; a silhouette where there is none. */
export const Look = ({ address, size }) =>
  address
    ? html`<img class="look" src=${address} alt="" width=${size} height=${size} loading="lazy" />`
    : html`<svg class="look none" width=${size} height=${size} viewBox="0 0 32 32" aria-hidden="true">
        <circle cx="16" cy="12.5" r="5.5" /><path d="M5 29c1.5-7 6-9 11-9s9.5 2 11 9z" />
      </svg>`;

/** How sure the machine was of the name; nothing where it gave none, or a human said more. */
export const Sure = ({ sighting }) =>
  sighting.machine_name !== null &&
  !sighting.correction &&
  html`<span class="sure" title="How sure the machine was of ${sighting.machine_name}"
    >${percent(sighting.confidence)}<span class="hidden"> sure</span></span
  >`;
