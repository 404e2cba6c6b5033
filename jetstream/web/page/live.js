// The cameras, live: a wall of tiles, or one large. Faces are drawn on the picture of their own frame.

import { get } from "/api.js";
import { FacePanel } from "/face_panel.js";
import { live } from "/live_socket.js";
import { Empty, Failure, Link, html, percent, useEffect, useEvery, useLoaded, useRef, useState } from "/ui.js";

const colours = { known: "#2fd07a", unknown: "#ffb020", doubtful: "#9aa4ad" };
const colourOf = (face) => (face.doubtful ? colours.doubtful : face.name ? colours.known : colours.unknown);
const labelOf = (face) => (face.name ? `${face.name} ${percent(face.confidence)}` : "unknown");

/** Draw a picture and its faces; the canvas has the picture's own size, so that lines stay sharp. */
function draw(canvas, picture, header) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const scale = picture.width / header.width;
  const unit = Math.max(1, picture.width / 640);
  pen.lineWidth = 2 * unit;
  pen.font = `600 ${13 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const face of header.faces) {
    const [x1, y1, x2, y2] = face.box.map((value) => value * scale);
    pen.strokeStyle = colourOf(face);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (face.landmarks) {
      pen.fillStyle = colourOf(face);
      for (let i = 0; i < face.landmarks.length; i += 2)
        pen.fillRect(face.landmarks[i] * scale - unit, face.landmarks[i + 1] * scale - unit, 2 * unit, 2 * unit);
    }
    const text = labelOf(face);
    const wide = pen.measureText(text).width + 10 * unit;
    const top = Math.max(18 * unit, y1);
    const left = Math.min(Math.max(0, x1 - unit), Math.max(0, canvas.width - wide));
    pen.fillStyle = colourOf(face);
    pen.fillRect(left, top - 18 * unit, wide, 18 * unit);
    pen.fillStyle = "#10161b";
    pen.fillText(text, left + 5 * unit, top - 2 * unit);
  }
}

/** The faces of a picture as buttons above it. */
class FaceButtons {
  constructor(layer, onFace) {
    this.layer = layer;
    this.chosen = null;
    this.onFace = onFace;
    this.labels = new Map();
  }

  update(header) {
    const seen = new Set();
    for (const face of header.faces) {
      seen.add(face.track);
      let element = this.labels.get(face.track);
      if (!element) {
        element = document.createElement("button");
        element.className = "face";
        element.addEventListener("click", () => this.onFace(header.camera, face.track));
        this.labels.set(face.track, element);
        this.layer.append(element);
      }
      element.classList.toggle("chosen", face.track === this.chosen);
      const text = labelOf(face);
      if (element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
      const [x1, y1, x2, y2] = face.box;
      element.style.left = `${(100 * x1) / header.width}%`;
      element.style.top = `${(100 * y1) / header.height}%`;
      element.style.width = `${(100 * (x2 - x1)) / header.width}%`;
      element.style.height = `${(100 * (y2 - y1)) / header.height}%`;
    }
    for (const [track, element] of this.labels)
      if (!seen.has(track)) {
        element.remove();
        this.labels.delete(track);
      }
  }
}

function Tile({ camera, isLarge, isAlone, chosen, onFace }) {
  const canvas = useRef(null);
  const layer = useRef(null);
  const [isAlive, setAlive] = useState(false);
  const at = useRef(0);
  const track = useRef(null);
  track.current = chosen;
  useEffect(() => {
    const labels = new FaceButtons(layer.current, onFace);
    let stop = null;
    const look = (inSight) => {
      stop?.();
      stop = null;
      if (!inSight || document.hidden) return;
      const width = Math.ceil(canvas.current.clientWidth * Math.min(2, devicePixelRatio)) || 320;
      stop = live.show(camera.name, width, isLarge ? 60 : 15, (picture, header) => {
        draw(canvas.current, picture, header);
        labels.chosen = track.current;
        labels.update(header);
        canvas.current.dataset.frame = header.frame;
        canvas.current.dataset.ageMs = header.age_ms;
        at.current = Date.now();
        setAlive(true);
      });
    };
    let isInSight = false;
    const seen = new IntersectionObserver(([entry]) => look((isInSight = entry.isIntersecting)));
    seen.observe(canvas.current);
    const turned = () => look(isInSight);
    const resized = new ResizeObserver(turned);
    resized.observe(canvas.current);
    document.addEventListener("visibilitychange", turned);
    return () => {
      seen.disconnect();
      resized.disconnect();
      document.removeEventListener("visibilitychange", turned);
      stop?.();
    };
  }, [camera.name, isLarge]);
  useEvery(1, () => Date.now() - at.current > 3000 && setAlive(false));
  const title = camera.area === camera.name ? camera.name : `${camera.name} · ${camera.area}`;
  return html`<figure class=${isLarge ? "tile large" : "tile"}>
    <div class="screen">
      <canvas ref=${canvas} width="16" height="9" aria-label=${`Live picture of ${camera.name}`} role="img"></canvas>
      <div class="faces" ref=${layer}></div>
      ${!isAlive && html`<p class="nothing">${wordsOf(camera)}</p>`}
    </div>
    <figcaption>
      <span class=${isAlive ? "dot good" : "dot"}></span>
      <span class="grow">${title}</span>
      ${!isAlone && (isLarge
        ? html`<${Link} to="/live" class="button">All cameras<//>`
        : html`<${Link} to=${`/live/${camera.name}`} class="button" aria-label=${`Show ${camera.name} large`}>Large<//>`)}
    </figcaption>
  </figure>`;
}

function wordsOf(camera) {
  if (camera.state === "restarting") return "Its process is started again";
  if (camera.state === "starting") return "Is starting";
  if (camera.state === "done") return "Has ended";
  return "No picture";
}

/** In how many columns all tiles are in sight, as large as can be; undefined: they aren't, so the stylesheet says it. */
function useColumns(count, isBeside) {
  const [size, setSize] = useState([innerWidth, innerHeight]);
  useEffect(() => {
    const resized = () => setSize([innerWidth, innerHeight]);
    addEventListener("resize", resized);
    return () => removeEventListener("resize", resized);
  }, []);
  const [wide, high] = [size[0] - 32 - (isBeside ? 384 : 0), size[1] - 84];
  for (let columns = 1; columns <= count && wide > 600; columns++) {
    const width = wide / columns - 14;
    if (width < 280) return;
    if (Math.ceil(count / columns) * ((width * 9) / 16 + 62) <= high) return columns;
  }
}

export default function Live({ path, who }) {
  const [face, setFace] = useState(null); // {camera, track} of the one that was clicked
  const { value: cameras, error, again } = useLoaded(() => get("/api/cameras"), []);
  useEvery(3, again);
  const columns = useColumns(cameras?.length ?? 0, face !== null);
  if (!cameras) return html`<${Failure} text=${error} />`;
  if (!cameras.length)
    return html`<${Empty} title="No camera yet">
      <p>Add one to the config, then start jetstream again:</p>
      <pre>[[cameras]]${"\n"}name = "door"${"\n"}source = "rtsp://192.168.1.10/stream"</pre>
    <//>`;
  const open = (camera, track) => setFace({ camera, track });
  const large = cameras.find((camera) => camera.name === decodeURIComponent(path));
  const shown = large ? [large] : cameras;
  const isOne = shown.length === 1;
  return html`
    <h1 class="hidden">Live</h1>
    <div class=${`wall${isOne ? " one" : ""}${face ? " beside" : ""}`} style=${isOne || !columns ? null : { gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>
      ${shown.map((camera) => html`<${Tile} key=${`${camera.name} ${!!large}`} camera=${camera} isLarge=${isOne} isAlone=${cameras.length === 1} chosen=${face?.camera === camera.name ? face.track : null} onFace=${open} />`)}
    </div>
    ${face && html`<${FacePanel} key=${`${face.camera} ${face.track}`} face=${face} who=${who} onClose=${() => setFace(null)} />`}
  `;
}
