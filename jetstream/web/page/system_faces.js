// Whether each camera can know people, from the faces that it has shown.

import { get } from "/api.js";
import { Empty, Failure, html, percent, useEvery, useLoaded, useState } from "/ui.js";

const VERDICTS = {
  unknown: ["", "Not known yet", "It has shown too few faces."],
  good: ["good", "Good", ""],
  too_far: ["bad", "Too far", "Zoom in, hang it nearer, or, if its own pictures are wider, raise its max_width."],
  too_steep: ["bad", "Too steep", "It looks down on faces: hang it lower, or let people be seen from farther away."],
  turned_away: ["bad", "Turned away", "Point it to where people look as they come."],
  too_dark: ["bad", "Too dark or over-exposed", "Put light on the faces, or change the camera's exposure."],
  blurred: ["bad", "Blurred", "Focus it, or give it more light or a shorter exposure."],
};
const metres = ([low, high]) => (low === high ? `${low.toFixed(1)} m` : `${low.toFixed(1)} to ${high.toFixed(1)} m`);

/** A number that this browser remembers. */
function useRemembered(key) {
  const read = () => {
    try {
      return localStorage.getItem(key) ?? "";
    } catch {
      return "";
    }
  };
  const [value, setValue] = useState(read);
  const change = (text) => {
    setValue(text);
    try {
      if (text) localStorage.setItem(key, text);
      else localStorage.removeItem(key);
    } catch {
      // it is remembered until the page is closed
    }
  };
  return [value, change];
}

function Reach({ told, fov, setFov }) {
  const [kind, title, advice] = VERDICTS[told.verdict] ?? ["", told.verdict, ""];
  return html`<article class="card reach" aria-label=${told.camera}>
    <h2><span class=${`dot ${kind}`}></span>${told.camera}</h2>
    <p><b class=${kind === "bad" ? "bad" : ""}>${title}.</b> ${advice}</p>
    ${told.tracks > 0 && html`
      <p>A typical face is ${Math.round(told.width_px)} px wide where it is largest; ${told.needed_px} are needed.${" "}
        ${told.farther >= 1.05 && `It could be ${told.farther.toFixed(1)} times as far away.`}</p>
      <p>At ${told.frame_width} px from left to right a face has ${told.needed_px} px up to <b>${metres(told.reach_m)}</b>
        ${fov ? "." : `, if the lens sees ${told.fov_deg[0]} to ${told.fov_deg[1]}°.`}</p>
      <dl class="facts small">
        <dt>Faces followed</dt><dd>${told.tracks}, ${told.named} with a name</dd>
        ${told.smallest_named_px !== null && html`<dt>Smallest face with a name</dt><dd>${Math.round(told.smallest_named_px)} px</dd>`}
        <dt>Turned to the camera</dt><dd>${percent(told.pose)}</dd>
        <dt>Light</dt><dd>${percent(told.exposure)}</dd>
        <dt>Sharpness</dt><dd>${percent(told.sharpness)}</dd>
      </dl>
      <label class="small">The lens sees, in degrees from left to right
        <input type="number" min="10" max="170" placeholder="70 to 90" value=${fov} onChange=${(event) => event.target.checkValidity() && setFov(event.target.value)} /></label>`}
  </article>`;
}

function Camera({ name }) {
  const [fov, setFov] = useRemembered(`fov ${name}`);
  const { value: told, error, again } = useLoaded(() => get(`/api/reach${fov && `?fov_deg=${encodeURIComponent(fov)}`}`), [fov]);
  useEvery(5, again);
  const mine = told?.find((one) => one.camera === name);
  return html`<${Failure} text=${error} />${mine && html`<${Reach} told=${mine} fov=${fov} setFov=${setFov} />`}`;
}

export default function Faces() {
  const { value: cameras, error } = useLoaded(() => get("/api/cameras"), []);
  if (!cameras) return html`<${Failure} text=${error} />`;
  if (!cameras.length) return html`<${Empty} title="No camera yet" />`;
  return html`
    <p>Can each camera know people? This is from the faces that it has shown since the page's process started, not from a data sheet. A face
      is taken to be 15 cm wide. Faces under <code>detect.min_face_px</code> aren't searched for, so who stays farther away isn't in these numbers.</p>
    <div class="cards wide">${cameras.map((one) => html`<div key=${one.name}><${Camera} name=${one.name} /></div>`)}</div>
  `;
}
