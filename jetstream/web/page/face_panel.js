// A face that was clicked on a live picture: why it has its name, and what can be said of it.

import { get, post } from "/api.js";
import { Decisions } from "/decision_buttons.js";
import { NameDialog } from "/dialogs.js";
import { live } from "/live_socket.js";
import { Look, lookOf, pictureOf, probability } from "/sighting_parts.js";
import { TaskBar, stop, useTask } from "/tasks.js";
import { Failure, Link, html, percent, useEffect, useGallery, useLoaded, useNews, useRef, useState } from "/ui.js";

const SECONDS = 25;
const TURNS = { front: "•", left: "←", right: "→", up: "↑", down: "↓" };

/** Which way a head is turned, roughly, from five landmarks: eyes, nose, corners of the mouth. */
function turnOf(points) {
  const [[leftX, leftY], [rightX, rightY], [noseX, noseY], [, mouthLeftY], [, mouthRightY]] = Array.from({ length: 5 }, (_, i) => [points[2 * i], points[2 * i + 1]]);
  const eyes = Math.hypot(rightX - leftX, rightY - leftY) || 1;
  const side = (noseX - (leftX + rightX) / 2) / eyes;
  const height = (noseY - (leftY + rightY) / 2) / ((mouthLeftY + mouthRightY) / 2 - (leftY + rightY) / 2 || 1);
  if (side < -0.18) return "left";
  if (side > 0.18) return "right";
  if (height < 0.48) return "up";
  return height > 0.68 ? "down" : "front";
}

/** The face as the newest picture shows it; null once it is gone. */
function useFace({ camera, track }) {
  const [seen, setSeen] = useState(undefined);
  useEffect(
    () => live.onHeader((header) => header.camera === camera && setSeen(header.faces.find((one) => one.track === track) ?? null)),
    [camera, track],
  );
  return seen;
}

function Why({ face }) {
  if (!face.votes.length) return html`<p class="quiet">It wasn't compared yet.</p>`;
  return html`<ul>
    ${face.votes.slice(0, 4).map(
      (vote) => html`<li key=${vote.name ?? ""}>
        ${vote.photo && html`<img src=${pictureOf(vote.photo)} alt=${`The nearest photo, ${vote.photo}`} />`}
        <span class="grow"><b>${vote.name ?? "nobody known"}</b><br />
          <span class="quiet small">${percent(probability(vote.log_odds))} from ${vote.answers} ${vote.answers === 1 ? "answer" : "answers"}${vote.distance !== null && `, distance ${vote.distance.toFixed(2)}`}</span></span>
      </li>`,
    )}
  </ul>`;
}

function Enrolment({ face, camera, name, onClose }) {
  const [task, setTask] = useState(null);
  const [error, setError] = useState("");
  const [turns, setTurns] = useState(new Set());
  const gallery = useGallery();
  const before = useRef(gallery);
  const status = useTask(task);
  const latest = useRef(null);
  useEffect(() => {
    post("/api/people/enroll", { name, camera, track: face.track, seconds: SECONDS }).then((begun) => setTask((latest.current = begun)), (failure) => setError(failure.message));
    return () => latest.current && stop(latest.current);
  }, []);
  useEffect(
    () => live.onHeader((header) => {
      const points = header.camera === camera && header.faces.find((one) => one.track === face.track)?.landmarks;
      if (points) setTurns((seen) => (seen.has(turnOf(points)) ? seen : new Set([...seen, turnOf(points)])));
    }),
    [],
  );
  const done = status?.state === "done" ? status.answer : null;
  return html`<section aria-live="polite">
    <h3>${done ? `${name} is enrolled` : `Taking photos of ${name}`}</h3>
    <${Failure} text=${error || (status?.state === "failed" && status.error)} />
    ${!done && !error && status?.state !== "failed" && html`
      <p>Look at the camera. Then turn the head slowly to each side, up and down.</p>
      <div class="turns">${Object.entries(TURNS).map(([turn, sign]) => html`<span class=${`${turn}${turns.has(turn) ? " seen" : ""}`} aria-label=${`${turn}${turns.has(turn) ? ", seen" : ""}`}>${sign}</span>`)}</div>
      ${status && html`<${TaskBar} status=${status} />`}
      <div class="buttons"><button onClick=${onClose}>Cancel</button></div>`}
    ${done && html`<p>${done.photos.length} ${done.photos.length === 1 ? "photo" : "photos"} of ${done.seen} looks. ${gallery === before.current ? "The gallery is learning them…" : `The gallery has learnt ${name}.`}</p>
      <ul class="shots">${done.photos.map((photo) => html`<li><img src=${pictureOf(photo)} alt=${photo} /></li>`)}</ul>
      <${Link} to=${`/people/${encodeURIComponent(name)}`} class="button">See ${name}<//>`}
  </section>`;
}

export function FacePanel({ face: { camera, track }, who, onClose }) {
  const seen = useFace({ camera, track });
  const last = useRef(null);
  const heading = useRef(null);
  if (seen) last.current = seen;
  const face = last.current;
  const [enrolling, setEnrolling] = useState("");
  const [isAsking, setAsking] = useState(false);
  const { value: found, again } = useLoaded(() => (face?.sighting ? get(`/api/sightings/${face.sighting}`).catch(() => null) : Promise.resolve(null)), [face?.sighting]);
  useNews(again);
  useEffect(() => heading.current?.focus(), [face !== null]);
  useEffect(() => {
    const opener = document.activeElement;
    return () => opener?.isConnected && opener.focus();
  }, []);
  const onKeyDown = (event) => event.key === "Escape" && !isAsking && onClose();
  if (!face) return null;
  return html`<aside class="panel" aria-label="The face" onKeyDown=${onKeyDown}>
    <div class="heading">${found?.sighting.looks.length > 0 && html`<${Look} address=${lookOf(found.sighting)} size="56" />`}<h2 class="grow" tabindex="-1" ref=${heading}>${face.name ?? "Unknown"}${face.name && html` <span class="quiet">${percent(face.confidence)}</span>`}</h2>
      <button class="plain" aria-label="Close" onClick=${onClose}>✕</button></div>
    <p class="quiet">${camera}, track ${track}${seen === null && " · not in sight now"}${face.doubtful && " · perhaps no face"}</p>
    ${enrolling
      ? html`<${Enrolment} key=${enrolling} face=${face} camera=${camera} name=${enrolling} onClose=${() => setEnrolling("")} />`
      : html`<h3>Why</h3>
        <${Why} face=${face} />
        ${found && html`<p><${Link} to=${`/timeline/${face.sighting}`}>This sighting, with pictures<//></p><${Decisions} sighting=${found.sighting} who=${who} onDone=${again} />`}
        ${who.may !== "look" && html`<div class="buttons"><button class="primary" onClick=${() => setAsking(true)}>Enroll from this camera…</button></div>`}`}
    ${isAsking && html`<${NameDialog} title="Who stands before the camera?" action="Begin" onClose=${() => setAsking(false)} onName=${async (name) => setEnrolling(name)} />`}
  </aside>`;
}
