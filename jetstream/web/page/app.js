// The frame of the page: who is logged in, where to go, and the view of the address.

import { get, onLoggedOut, post } from "/api.js";
import { DecisionLine } from "/decisions.js";
import { live } from "/live_socket.js";
import { Failure, Link, go, html, render, useEffect, useNews, useRef, useState } from "/ui.js";

const VIEWS = [
  { path: "/live", title: "Live", load: () => import("/live.js") },
  { path: "/inbox", title: "Inbox", load: () => import("/inbox.js") },
  { path: "/timeline", title: "Timeline", load: () => import("/timeline.js") },
  { path: "/people", title: "People", load: () => import("/people.js") },
  { path: "/system", title: "System", load: () => import("/system.js") },
  { path: "/search", title: "Search by photo", within: "/timeline", load: () => import("/search.js") },
  { path: "/api", title: "For programs", within: "/system", load: () => import("/programs.js") },
  { path: "/account", title: "Account", within: "", load: () => import("/account.js") },
];
const byPath = (path) => VIEWS.find((view) => path === view.path || path.startsWith(`${view.path}/`)) ?? VIEWS[0];

function Login({ onDone }) {
  const [error, setError] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    try {
      onDone(await post("/api/login", { name: form.get("name"), password: form.get("password") }));
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<main class="login">
    <form onSubmit=${submit}>
      <h1>jetstream</h1>
      <label>Name<input name="name" autocomplete="username" required autofocus /></label>
      <label>Password<input name="password" type="password" autocomplete="current-password" required /></label>
      <${Failure} text=${error} />
      <button class="primary">Log in</button>
    </form>
  </main>`;
}

function usePath() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const moved = () => setPath(location.pathname);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  return path;
}

function View({ view, path, who, onWho }) {
  const [loaded, setLoaded] = useState(null);
  useEffect(() => {
    let wanted = true;
    view.load().then((module) => wanted && setLoaded({ view, Part: module.default }));
    return () => (wanted = false);
  }, [view]);
  useEffect(() => {
    document.title = `${view.title} - jetstream`;
  }, [view]);
  if (loaded?.view !== view) return html`<p class="quiet" aria-busy="true">Loading…</p>`;
  return html`<${loaded.Part} path=${path.slice(view.path.length + 1)} who=${who} onWho=${onWho} />`;
}

function Connection() {
  const [state, setState] = useState(live.state);
  useEffect(() => live.onState(setState), []);
  return state === "closed" && html`<p class="banner" role="status">No connection to jetstream. Trying again…</p>`;
}

/** Says for a while that photos were learnt. */
function Learnt() {
  const [text, setText] = useState("");
  const known = useRef(live.news?.gallery);
  useNews(({ gallery }) => {
    if (gallery && known.current && gallery.sha256 !== known.current.sha256)
      setText(`Learnt: ${gallery.people} ${gallery.people === 1 ? "person" : "people"}, ${gallery.photos} ${gallery.photos === 1 ? "photo" : "photos"}.`);
    known.current = gallery ?? known.current;
  });
  useEffect(() => {
    const timer = setTimeout(() => setText(""), 8000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class=${text ? "toast" : "hidden"} role="status">${text}</p>`;
}

function App() {
  const [who, setWho] = useState(null);
  const [error, setError] = useState("");
  const path = usePath();
  const ask = () =>
    get("/api/who").then(setWho, (failure) => {
      setError(failure.message);
      setTimeout(ask, 2000);
    });
  useEffect(() => {
    ask();
    return onLoggedOut(() => setWho((before) => ({ ...before, may: null })));
  }, []);
  useEffect(() => {
    if (who?.may) live.open();
    else live.close();
  }, [who?.may]);
  if (!who) return html`<main><${Failure} text=${error} /></main>`;
  if (!who.may) return html`<${Login} onDone=${setWho} />`;
  const view = byPath(path);
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <header class="top">
      <${Link} to="/live" class="brand"><img src="/icon.svg" alt="" width="28" height="28" /><span>jetstream</span><//>
      <nav aria-label="Views">
        ${VIEWS.filter((one) => one.within === undefined).map((one) => html`<${Link} key=${one.path} to=${one.path} aria-current=${one === view ? "page" : one.path === view.within ? "true" : null}>${one.title}<//>`)}
      </nav>
      <${Link} to="/account" class="account" aria-current=${view.path === "/account" ? "page" : null}>${who.name || "Account"}<//>
    </header>
    <${Connection} />
    <${Learnt} />
    <main id="main" tabindex="-1"><${View} view=${view} path=${path} who=${who} onWho=${setWho} /></main>
    <${DecisionLine} />
  `;
}

if (location.pathname === "/") go("/live");
render(html`<${App} />`, document.body);
