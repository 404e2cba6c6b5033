// The clips of a sighting, each in a player.

import { get } from "/api.js";
import { length, time, until } from "/times.js";
import { Failure, html, size, useEffect, useEvery, useLoaded, useRef, useState } from "/ui.js";

const PLAYERS_AHEAD = 4; // how many load their first picture before they are played
const LACKS = "This browser can't play the camera's video. Download it, and play it with another program.";

/** An address that a player keeps: another one would begin anew. One of an open clip names what was there then. */
function usePlayed(clip, player, onFailed) {
  const [address, setAddress] = useState(clip.address);
  const [failed, setFailed] = useState("");
  const at = useRef(0);
  const take = () => {
    at.current = player.current?.currentTime ?? 0;
    setFailed("");
    setAddress(clip.address);
  };
  useEffect(() => {
    const isIdle = player.current.paused && !player.current.currentTime;
    if (clip.address !== address && (failed || (isIdle && clip.state === "ended"))) take();
  }, [clip.address, failed]);
  return {
    address,
    isBroken: failed === address,
    more: clip.address !== address && take,
    fail: () => {
      setFailed(address);
      onFailed(); // it may have ended, or been deleted
    },
    resume: ({ target }) => {
      if (at.current) target.currentTime = Math.min(at.current, target.duration);
      at.current = 0;
    },
  };
}

/** "0:21", as players show it. */
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Seconds in a clip before the sighting where that isn't the first one of it; else null. */
function leadOf(clip, begin) {
  const lead = (new Date(begin) - new Date(clip.begin)) / 1000;
  const isIn = !clip.end || new Date(begin) < new Date(clip.end);
  return isIn && lead > clip.pre_s + 1 ? lead : null;
}

function Said({ clip, lead }) {
  const isOpen = clip.state === "open";
  return html`<span class="grow">
    <b class="times">${time(clip.begin)}${isOpen ? "" : ` – ${until(clip.begin, clip.end)}`}</b>
    ${isOpen ? html` <b class="now">still being recorded</b>` : html`<span class="quiet"> · ${length(clip.begin, clip.end)}</span>`}
    ${clip.short && lead === null && html`<span class="said">Begins late: ${clip.short}.</span>`}
    ${clip.missing > 0 && html`<span class="said">${clip.missing === 1 ? "A piece of about a second is" : `${clip.missing} pieces of about a second are`} missing.</span>`}
  </span>`;
}

function Clip({ clip, begin, part, isAhead, onFailed }) {
  const lead = leadOf(clip, begin);
  const player = useRef(null);
  const { address, isBroken, more, fail, resume } = usePlayed(clip, player, onFailed);
  return html`<figure class="clip">
    ${part && html`<h3>${part}</h3>`}
    <video ref=${player} src=${address} controls playsinline preload=${isAhead ? "metadata" : "none"} aria-label=${`${part || "Clip"}, from ${time(clip.begin)}`}
      onError=${fail} onLoadedMetadata=${resume}></video>
    <figcaption>
      <${Said} clip=${clip} lead=${lead} />
      ${lead !== null && html`<button title="This sighting begins there; the clip is of an earlier one, too" onClick=${() => (player.current.currentTime = lead)}>Go to ${clock(lead)}</button>`}
      ${more && html`<button onClick=${more}>${clip.state === "open" ? "Show what came since" : "Show all of it"}</button>`}
      <a class="button" href=${clip.address} download=${clip.file_name}>Download <span class="quiet">${size(clip.n_bytes)}</span></a>
    </figcaption>
    ${isBroken && html`<${Failure} text=${LACKS} />`}
  </figure>`;
}

/** `begin`: when the sighting began; `isOpen`: it goes on. */
export function Clips({ id, begin, isOpen }) {
  const { value: found, error, again } = useLoaded(() => get(`/api/sightings/${id}/clips`), [id]);
  const clips = found?.clips ?? [];
  useEvery(10, () => (isOpen || clips.some((one) => one.state === "open")) && again());
  useEffect(() => {
    if (found) again();
  }, [isOpen]);
  if (!error && !found?.is_enabled) return null;
  return html`<section class="card" aria-labelledby="clips">
    <h2 id="clips">${clips.length > 1 ? "Clips" : "Clip"}</h2>
    <${Failure} text=${error} />
    ${clips.map((clip, n) => html`<${Clip} key=${clip.begin} clip=${clip} begin=${begin} part=${clips.length > 1 && `Part ${n + 1} of ${clips.length}`} isAhead=${n < PLAYERS_AHEAD} onFailed=${again} />`)}
    ${found && !clips.length && html`<p class="quiet">${isOpen ? "It is begun in a moment." : "There is none: it was deleted to make room or for its age, or jetstream kept none then."}</p>`}
  </section>`;
}
