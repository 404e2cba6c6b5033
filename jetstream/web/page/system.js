// How the run goes: cameras, processes, networks, machine. Its other tabs are files of their own.

import { get } from "/api.js";
import { Failure, Link, html, percent, size, useEffect, useEvery, useLoaded, useRef, useState } from "/ui.js";

export const ago = (seconds) => {
  if (seconds < 1) return "1 s";
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 200000) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
};
const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;
const rate = (fps) => (fps ? fps.toFixed(fps < 10 ? 1 : 0) : "0");
const clock = (ageS) => new Date(Date.now() - ageS * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const CONDITIONS = {
  live: ["good", () => "Live"],
  starting: ["", () => "Is starting"],
  again: ["bad", () => "Its process ended and is started again"],
  no_answer: ["bad", (camera) => `No answer: opened again and again. ${since(camera)}`],
  silent: ["bad", since],
  stuck: ["bad", (camera) => `Gives frames, but no process looks at them. ${since(camera)}`],
  ended: ["", () => "Its file has ended"],
  unknown: ["", () => "Not known: the supervisor doesn't report"],
};

function since(camera) {
  const age = camera.picture_age_s;
  return age === null ? "No picture yet" : `No picture since ${clock(age)} (${ago(age)})`;
}

const Camera = ({ camera }) => {
  const [kind, told] = CONDITIONS[camera.condition] ?? ["", () => camera.condition];
  return html`<article class="card camera">
    <h3><span class=${`dot ${kind}`}></span>${camera.name}${camera.area !== camera.name && html`<span class="quiet"> · ${camera.area}</span>`}</h3>
    <p class=${kind === "bad" ? "bad" : ""}>${told(camera)}</p>
    <dl class="numbers">
      <div><dt>captured</dt><dd>${rate(camera.captured_fps)}</dd></div>
      <div><dt>detected</dt><dd>${rate(camera.detected_fps)}</dd></div>
      <div><dt>tracked</dt><dd>${rate(camera.tracked_fps)}</dd></div>
    </dl>
    <p class="quiet small">frames a second${camera.reconnects > 0 && ` · opened again ${many(camera.reconnects, "time")}`}</p>
  </article>`;
};

const STATES = { starting: "starting", running: "running", restarting: "started again", done: "ended" };

const Process = ({ one, busy }) => html`<tr>
  <th scope="row">${one.name}</th>
  <td>${STATES[one.state] ?? one.state}</td>
  <td>${one.frames ? rate(one.fps) : ""}</td>
  <td>${one.frames ? `${Math.round(one.latency_p50_ms)} / ${Math.round(one.latency_p95_ms)}` : ""}</td>
  <td>${one.waiting || ""}</td>
  <td class=${one.restarts ? "bad" : ""}>${one.restarts || ""}</td>
  <td>${one.memory_bytes === null ? "" : size(one.memory_bytes)}</td>
  <td>${busy === null ? "" : percent(busy)}</td>
  <td class="words">${Object.entries(one.drops).map(([reason, count]) => `${reason} ${count}`).join(", ")}</td>
</tr>`;

/** Share of a processor that each process used between the last two answers. */
function useBusy(told) {
  const [busy, setBusy] = useState({});
  const last = useRef(null);
  useEffect(() => {
    if (!told) return;
    const now = { at: performance.now() / 1000, used: Object.fromEntries(told.processes.map((one) => [one.name, one.cpu_s])) };
    const before = last.current;
    last.current = now;
    if (!before || now.at - before.at < 0.5) return;
    const share = (name) => Math.max(0, (now.used[name] - before.used[name]) / (now.at - before.at));
    setBusy(Object.fromEntries(Object.keys(now.used).map((name) => [name, before.used[name] == null || now.used[name] == null ? null : share(name)])));
  }, [told]);
  return busy;
}

function Machine({ told }) {
  const { machine, networks } = told;
  const known = networks.people === null ? "not known yet" : `${many(networks.people, "person", "people")}, ${many(networks.photos, "photo")}`;
  return html`<dl class="facts">
    <dt>Version</dt><dd>jetstream ${told.version}, Python ${told.python}, ${told.system}</dd>
    <dt>Running for</dt><dd>${told.running_s === null ? "not known" : ago(told.running_s)}</dd>
    <dt>Pace</dt><dd>${told.pace}</dd>
    <dt>Networks</dt><dd>${networks.detector} finds faces${networks.search_every > 1 && ` (1 picture in ${networks.search_every} searched whole)`}, ${networks.embedder || "none"} compares them, on ${networks.backend}</dd>
    <dt>Gallery</dt><dd>${known}</dd>
    ${machine.gpus.map((gpu) => html`<dt>GPU</dt>
      <dd>${gpu.name}${gpu.busy !== null && `, ${percent(gpu.busy)} busy`}${gpu.used_bytes !== null && `, ${size(gpu.used_bytes)} of ${size(gpu.memory_bytes)} used`}</dd>`)}
    ${machine.disks.map((disk) => html`<dt>${disk.what[0].toUpperCase() + disk.what.slice(1)}</dt>
      <dd class=${disk.free_bytes < 0.05 * disk.size_bytes ? "bad" : ""}>${size(disk.used_bytes)}, ${size(disk.free_bytes)} of ${size(disk.size_bytes)} free <span class="quiet">in ${disk.dir}</span></dd>`)}
    <dt>Viewers</dt><dd>${told.viewers}</dd>
  </dl>`;
}

const HEADS = ["process", "state", "fps", "latency ms, median / 95 %", "waiting", "restarts", "memory", "processor", "dropped"];

function State() {
  const { value: told, error, again } = useLoaded(() => get("/api/system"), []);
  useEvery(2, again);
  const busy = useBusy(told);
  if (!told) return html`<${Failure} text=${error} />`;
  return html`
    <${Failure} text=${error} />
    ${told.troubles.map((one) => html`<p class="failure" role="alert">${one[0].toUpperCase() + one.slice(1)}.</p>`)}
    <h2>Cameras</h2>
    ${told.cameras.length === 0 && html`<p class="quiet">None.</p>`}
    <div class="cards">${told.cameras.map((camera) => html`<${Camera} key=${camera.name} camera=${camera} />`)}</div>
    <h2>Processes</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Processes">
      <table>
        <thead><tr>${HEADS.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
        <tbody>${told.processes.map((one) => html`<${Process} key=${one.name} one=${one} busy=${busy[one.name] ?? null} />`)}</tbody>
      </table>
    </div>
    <h2>Machine</h2>
    <${Machine} told=${told} />
  `;
}

const TABS = [
  { path: "", title: "State", load: async () => State },
  { path: "faces", title: "Faces", load: async () => (await import("/system_faces.js")).default },
  { path: "config", title: "Config", right: "rule", load: async () => (await import("/system_config.js")).default },
  { path: "log", title: "Log", right: "rule", load: async () => (await import("/system_log.js")).default },
];

const tabsFor = (who) => TABS.filter((tab) => tab.right !== "rule" || who.may === "rule");

/** The heading and the tabs; `here` is the address of the one that is shown. */
export const SystemTabs = ({ here, who }) => html`
  <h1>System</h1>
  <nav class="tabs" aria-label="System">
    ${[...tabsFor(who).map((one) => [`/system${one.path && `/${one.path}`}`, one.title]), ["/api", "For programs"]].map(
      ([to, title]) => html`<${Link} key=${to} to=${to} aria-current=${to === here ? "page" : null}>${title}<//>`,
    )}
  </nav>
`;

export default function System({ path, who }) {
  const tabs = tabsFor(who);
  const tab = tabs.find((one) => one.path === path) ?? tabs[0];
  const [loaded, setLoaded] = useState(null);
  useEffect(() => {
    let wanted = true;
    tab.load().then((Part) => wanted && setLoaded({ tab, Part }));
    return () => (wanted = false);
  }, [tab]);
  return html`<div class="page">
    <${SystemTabs} here=${`/system${tab.path && `/${tab.path}`}`} who=${who} />
    ${loaded?.tab === tab && html`<${loaded.Part} who=${who} />`}
  </div>`;
}
