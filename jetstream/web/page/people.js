// Who is known: their photos with what training made of each, and all that can be changed of them.

import { get, post } from "/api.js";
import { DropZone, NameDialog } from "/dialogs.js";
import { PersonPage, addPhotos } from "/person.js";
import { since } from "/times.js";
import { TaskBar, useTask } from "/tasks.js";
import { Empty, Failure, Link, go, html, useEffect, useGallery, useLoaded, useState } from "/ui.js";

const pathOf = (name) => `/people/${encodeURIComponent(name)}`;

function PersonCard({ person }) {
  return html`<article class="card person">
    <${Link} to=${pathOf(person.name)}>
      ${person.photo ? html`<img src=${person.photo} alt="" loading="lazy" width="72" height="72" />` : html`<span class="noface"></span>`}
      <span class="grow">
        <b>${person.name}</b>
        <span class="quiet small">${person.photos} ${person.photos === 1 ? "photo" : "photos"}${person.refused > 0 && `, ${person.refused} left out`}</span>
        <span class="quiet small">${person.last ? `seen ${since(person.last)}` : "not seen yet"}</span>
        ${person.warnings.slice(0, 2).map((text) => html`<span class="warn small">${text}</span>`)}
        ${!person.photos && html`<span class="bad small">no photo could be learnt, so there is no name yet</span>`}
      </span>
    <//>
  </article>`;
}

function Evaluation({ maySort, hasReport }) {
  const [task, setTask] = useState(null);
  const [error, setError] = useState("");
  const [isDone, setDone] = useState(false);
  const status = useTask(task, (ended) => (ended.state === "done" ? setDone(true) : setError(ended.error)));
  const begin = async () => {
    setError("");
    setDone(false);
    try {
      setTask(await post("/api/people/evaluate"));
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<section class="card">
    <h2>How well are they told apart?</h2>
    <p class="quiet">Each photo is tested as if it weren't known: right, wrong or no name, with curves and the errors in pictures.</p>
    <${Failure} text=${error} />
    ${status?.state === "running" && html`<${TaskBar} status=${status} />`}
    <div class="buttons">
      <button disabled=${!maySort || status?.state === "running"} onClick=${begin}>Evaluate</button>
      ${(hasReport || isDone) && html`<a class=${isDone ? "button primary" : "button"} href="/api/evaluation" target="_blank" rel="noopener">Newest report</a>`}
    </div>
  </section>`;
}

function List({ who }) {
  const [wanted, setWanted] = useState("");
  const [parts, setParts] = useState([]); // `after` of each further part
  const [isAdding, setAdding] = useState(false);
  const { value: pages, error, again } = useLoaded(
    () => Promise.all(["", ...parts].map((after) => get(`/api/people?name=${encodeURIComponent(wanted)}&after=${encodeURIComponent(after)}`))),
    [wanted, parts],
  );
  const gallery = useGallery();
  useEffect(() => void again(), [gallery]);
  const maySort = who.may !== "look";
  if (!pages) return html`<${Failure} text=${error} />`;
  const people = pages.flatMap((page) => page.people);
  const { total, strangers } = pages[0];
  const next = pages.at(-1).next;
  return html`
    <div class="heading"><h1 class="grow">People</h1>
      ${maySort && html`<button class="primary" onClick=${() => setAdding(true)}>Add a person</button>`}</div>
    <${Failure} text=${error} />
    ${(total > 0 || wanted) && html`<label class="narrow">Search<input type="search" value=${wanted} onInput=${(event) => { setParts([]); setWanted(event.target.value); }} /></label>`}
    ${!total && !wanted && html`<${Empty} title="Nobody is known yet">
      <p>Add a person with one or more photos; a few from different days and sides are best. Or let somebody stand before a camera, open it under Live, and click the face.</p>
      <p><${Link} to="/live" class="button">See the cameras<//></p>
    <//>`}
    ${!total && wanted && html`<p class="quiet">Nobody's name has that part.</p>`}
    <div class="cards people">${people.map((person) => html`<${PersonCard} key=${person.name} person=${person} />`)}</div>
    ${next && html`<p class="center"><button onClick=${() => setParts([...parts, next])}>Show more of ${total}</button></p>`}
    ${strangers > 0 && html`<p class="quiet">And ${strangers} ${strangers === 1 ? "picture" : "pictures"} of strangers who shall get no name.</p>`}
    ${total > 0 && html`<${Evaluation} maySort=${maySort} hasReport=${pages[0].has_report} />`}
    ${isAdding && html`<${NewPerson} onClose=${() => { setAdding(false); again(); }} />`}
  `;
}

function NewPerson({ onClose }) {
  const [files, setFiles] = useState([]);
  const save = async (name) => {
    if (!files.length) throw new Error("choose at least one photo");
    const results = await addPhotos(name, files);
    const failed = results.filter((one) => one.error);
    if (failed.length === results.length) throw new Error(failed[0].error);
    go(pathOf(name));
  };
  return html`<${NameDialog} title="Add a person" onName=${save} onClose=${onClose}>
    <${DropZone} label=${files.length ? `${files.length} ${files.length === 1 ? "photo" : "photos"} chosen` : "Drop photos here"} onFiles=${setFiles} />
  <//>`;
}

export default function People({ path, who }) {
  const name = decodeURIComponent(path);
  useEffect(() => {
    if (!name) document.title = "People - jetstream";
  }, [name]);
  return html`<div class="page">${name ? html`<${PersonPage} key=${name} name=${name} who=${who} />` : html`<${List} who=${who} />`}</div>`;
}
