// Pieces that several views use.

import { html, render, useCallback, useEffect, useRef, useState } from "/vendor/htm-preact.js";

export { html, render, useCallback, useEffect, useRef, useState };

/** Go to another view without loading the page anew. */
export function go(path) {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}

export function Link({ to, children, ...rest }) {
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${to} onClick=${follow} ...${rest}>${children}</a>`;
}

/** What `load` gives, loaded again when `keys` change or `again` is called: {value, error, again}. */
export function useLoaded(load, keys) {
  const [state, setState] = useState({ value: null, error: null });
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const value = await load();
      if (mine === turn.current) setState({ value, error: null });
    } catch (error) {
      if (mine === turn.current) setState((before) => ({ value: before.value, error: error.message }));
    }
  }, keys);
  useEffect(() => {
    again();
    return () => turn.current++;
  }, [again]);
  return { ...state, again };
}

/** Call `act` every `seconds` while the page is in sight. */
export function useEvery(seconds, act) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
}

let showNotice = () => {};

/** Tell something for some seconds; `undo` adds a button that calls it. */
export const notify = (text, { isError = false, undo = null } = {}) => showNotice({ text, isError, undo });

/** Call `act`; tell an error as a notice. Returns what it gives, or undefined. */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    notify(error.message, { isError: true });
    return undefined;
  }
}

export function Notices() {
  const [notice, setNotice] = useState(null);
  useEffect(() => {
    showNotice = setNotice;
  }, []);
  useEffect(() => {
    if (!notice) return undefined;
    const timer = setTimeout(() => setNotice(null), notice.isError || notice.undo ? 10000 : 5000);
    return () => clearTimeout(timer);
  }, [notice]);
  const undo = () => {
    setNotice(null);
    notice.undo();
  };
  return html`<div class="notices" role="status" aria-live="polite">
    ${notice &&
    html`<div class=${notice.isError ? "notice error" : "notice"}>
      <span>${notice.text}</span>
      ${notice.undo && html`<button class="plain" onClick=${undo}>Undo</button>`}
      <button class="plain" aria-label="Close" onClick=${() => setNotice(null)}>✕</button>
    </div>`}
  </div>`;
}

/** What to do where there is nothing to see yet. */
export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children}</div>`;

export const Failure = ({ text }) => text && html`<p class="failure" role="alert">${text}</p>`;

/** A window above the page; Escape closes it, and what was focused before is focused again. */
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${box} onClose=${onClose} aria-label=${title}>
    <header><h2>${title}</h2><button class="plain" aria-label="Close" onClick=${() => box.current.close()}>✕</button></header>
    ${children}
  </dialog>`;
}

const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const clockTime = (iso) => clock.format(new Date(iso));
export const dayOf = (iso) => day.format(new Date(iso));

/** A time as people say it: the time of today, or the day and the time. */
export function when(iso) {
  const date = new Date(iso);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** A span as people say it: `3 s`, `4 min`, `2 h 5 min`. */
export function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

/** `1 photo`, `2 photos` */
export const counted = (number, noun, plural = `${noun}s`) => `${number.toLocaleString()} ${number === 1 ? noun : plural}`;

/** Who a sighting shows. */
export const whoOf = (sighting) => sighting.name ?? (sighting.stranger === null ? "Stranger" : `Stranger ${sighting.stranger}`);
