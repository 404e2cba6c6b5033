// Pieces that several views use.

import { live } from "/live_socket.js";
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

/** Call `act` when the server tells news (see `jetstream/web/news.py`): at once, but no sooner than `seconds` after the
 * last time, and out of sight once the page is in sight again. */
export function useNews(act, seconds = 1) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    let isDue = false;
    let timer = null;
    let earliest = 0;
    const run = () => {
      timer = null;
      isDue = document.hidden;
      if (isDue) return;
      earliest = Date.now() + 1000 * seconds;
      latest.current(live.news);
    };
    const told = () => {
      if (timer === null) timer = setTimeout(run, Math.max(0, earliest - Date.now()));
    };
    const turned = () => isDue && told();
    document.addEventListener("visibilitychange", turned);
    const stop = live.onNews(told);
    return () => {
      document.removeEventListener("visibilitychange", turned);
      clearTimeout(timer);
      stop();
    };
  }, []);
}

/** SHA-256 of the gallery in use; undefined: not known yet. */
export function useGallery() {
  const [sha256, setSha256] = useState(live.news?.gallery?.sha256);
  useNews(() => setSha256(live.news?.gallery?.sha256));
  return sha256;
}

/** What to do where there is nothing to see yet. */
export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children}</div>`;

export const Failure = ({ text }) => text && html`<p class="failure" role="alert">${text}</p>`;

export const percent = (share) => `${Math.round(share * 100)} %`;

/** Bytes as "7 MB". */
export const size = (bytes) => {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(bytes < 1e11 ? 1 : 0)} GB`;
};

/** Text in which `words` are code. */
export const Coded = ({ text }) => text.split("`").map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));
