// Who is logged in, where; and, for who may rule, the users and the tokens of programs.

import { get, post } from "/api.js";
import { Dialog } from "/dialogs.js";
import { dayOf, since } from "/times.js";
import { Failure, html, useLoaded, useState } from "/ui.js";

const RIGHTS = [
  ["look", "look: see everything"],
  ["sort", "sort: also name and enroll people"],
  ["rule", "rule: also forget people, and manage users"],
];
const when = (seconds) => (seconds === null ? "never" : since(new Date(seconds * 1000).toISOString()));
const day = (seconds) => dayOf(new Date(seconds * 1000));

/** The name of a browser and its system, from what it calls itself. */
function browserOf(agent) {
  const name = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([mark]) => agent.includes(mark))?.[1];
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((mark) => agent.includes(mark));
  return name ? `${name}${system ? ` on ${system}` : ""}` : agent.slice(0, 40) || "not told";
}

function Table({ label, heads, children }) {
  return html`<div class="scroll words" tabindex="0" role="region" aria-label=${label}>
    <table><thead><tr>${heads.map((one) => html`<th scope="col">${one}</th>`)}<th scope="col"><span class="hidden">Action</span></th></tr></thead><tbody>${children}</tbody></table>
  </div>`;
}

/** Ask before something is taken away. `onYes` may throw a sentence. */
function Sure({ title, action, onYes, onClose, children }) {
  const [error, setError] = useState("");
  const go = () => onYes().then(onClose, (failure) => setError(failure.message));
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    <${Failure} text=${error} />
    <div class="buttons"><button onClick=${onClose}>Cancel</button><button class="danger" onClick=${go}>${action}</button></div>
  <//>`;
}

/** A form that sends its fields to `path`. */
function NewOne({ path, action, may = "look", onDone, children }) {
  const [error, setError] = useState("");
  const send = async (event) => {
    event.preventDefault();
    const form = event.target;
    setError("");
    try {
      const answer = await post(path, Object.fromEntries(new FormData(form)));
      form.reset();
      onDone(answer);
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<form class="filters" onSubmit=${send}>
    ${children}
    <label class="field">May<select name="may">${RIGHTS.map(([value, text]) => html`<option value=${value} selected=${value === may}>${text}</option>`)}</select></label>
    <button class="primary">${action}</button>
    <${Failure} text=${error} />
  </form>`;
}

function Sessions({ who, onWho }) {
  const { value: sessions, error, again } = useLoaded(() => get("/api/sessions"), []);
  const [failure, setFailure] = useState("");
  const end = async (one) => {
    setFailure("");
    try {
      if (one.id === who.session) return onWho(await post("/api/logout"));
      await post("/api/sessions/end", { id: one.id, user: one.user });
    } catch (problem) {
      setFailure(problem.message);
    }
    again();
  };
  return html`<h2>Sessions</h2>
    <p class="quiet">Browsers that are logged in. A session ends after 7 days without use, and after 30 days in any case.</p>
    <${Failure} text=${failure || error} />
    ${sessions && html`<${Table} label="Sessions" heads=${["User", "Browser", "From", "Last used", "Since"]}>
      ${sessions.map((one) => html`<tr key=${one.id}>
        <th scope="row">${one.user}</th>
        <td title=${one.agent}>${browserOf(one.agent)}${one.id === who.session && html` <span class="tag">this one</span>`}</td>
        <td>${one.address}</td><td>${when(one.seen_s)}</td><td>${day(one.made_s)}</td>
        <td><button onClick=${() => end(one)} aria-label=${`End the session of ${one.user} from ${one.address}`}>End</button></td>
      </tr>`)}
    <//>`}`;
}

function Users({ who, onWho }) {
  const { value: users, error, again } = useLoaded(() => get("/api/users"), []);
  const [leaving, setLeaving] = useState(null);
  const changed = async () => {
    const now = await get("/api/who");
    onWho(now);
    if (now.may) again();
  };
  return html`<h2>Users</h2>
    <${Failure} text=${error} />
    ${users && !users.length && html`<p>There is no user, so nobody has to log in: whoever uses this machine may do everything here, and other machines are refused.
      Once there is a user, everybody has to log in. Begin with one who may rule.</p>`}
    ${users?.length > 0 && html`<${Table} label="Users" heads=${["Name", "May", "Since"]}>
      ${users.map((one) => html`<tr key=${one.name}><th scope="row">${one.name}</th><td>${one.may}</td><td>${day(one.made_s)}</td>
        <td><button class="danger" onClick=${() => setLeaving(one.name)} aria-label=${`Remove ${one.name}`}>Remove</button></td></tr>`)}
    <//>`}
    <${NewOne} path="/api/users/add" action="Add a user" may=${users?.length === 0 ? "rule" : "look"} onDone=${changed}>
      <label class="field">Name<input name="name" required maxlength="100" autocomplete="off" /></label>
      <label class="field">Password<input name="password" type="password" required minlength="8" autocomplete="new-password" /></label>
    <//>
    ${leaving && html`<${Sure} title=${`Remove ${leaving}?`} action="Remove" onClose=${() => setLeaving(null)}
      onYes=${async () => { await post("/api/users/remove", { name: leaving }); await changed(); }}>
      <p>${leaving} is logged out everywhere and can't log in any more.${users.length === 1 && " Then no user is left: nobody has to log in on this machine, and no other one is answered."}${leaving === who.name && users.length > 1 && " This is you."}</p><//>`}`;
}

function Tokens() {
  const { value: tokens, error, again } = useLoaded(() => get("/api/tokens"), []);
  const [token, setToken] = useState("");
  const [leaving, setLeaving] = useState(null);
  return html`<h2>Tokens</h2>
    <p class="quiet">With a token a program may ask without a password.</p>
    <${Failure} text=${error} />
    ${tokens?.length > 0 && html`<${Table} label="Tokens" heads=${["Name", "May", "Last used", "Since"]}>
      ${tokens.map((one) => html`<tr key=${one.name}><th scope="row">${one.name}</th><td>${one.may}</td><td>${when(one.seen_s)}</td><td>${day(one.made_s)}</td>
        <td><button class="danger" onClick=${() => setLeaving(one.name)} aria-label=${`Remove ${one.name}`}>Remove</button></td></tr>`)}
    <//>`}
    <div role="status">${token && html`<p>The new token. It is shown this once:</p><pre tabindex="0">${token}</pre>`}</div>
    <${NewOne} path="/api/tokens/add" action="Make a token" onDone=${(answer) => { setToken(answer.token); again(); }}>
      <label class="field">Name<input name="name" required maxlength="100" autocomplete="off" /></label>
    <//>
    ${leaving && html`<${Sure} title=${`Remove ${leaving}?`} action="Remove" onClose=${() => setLeaving(null)}
      onYes=${async () => { await post("/api/tokens/remove", { name: leaving }); setToken(""); again(); }}>
      <p>The program that uses it is refused from then on.</p><//>`}`;
}

export default function Account({ who, onWho }) {
  const may = RIGHTS.find(([right]) => right === who.may)[1];
  return html`<div class="page">
    <div class="heading"><h1 class="grow">${who.name || "Account"}</h1>
      ${who.name && html`<button onClick=${async () => onWho(await post("/api/logout"))}>Log out</button>`}</div>
    ${who.name && html`<p>May ${may}.</p>`}
    ${who.has_users && html`<${Sessions} who=${who} onWho=${onWho} />`}
    ${who.may === "rule" && html`<${Users} who=${who} onWho=${onWho} /><${Tokens} />`}
  </div>`;
}
