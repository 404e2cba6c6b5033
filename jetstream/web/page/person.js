// One person: photos and their verdicts, and rename, merge, forget.

import { get, post, upload } from "/api.js";
import { Dialog, DropZone, NameDialog } from "/dialogs.js";
import { pictureOf } from "/sighting_parts.js";
import { TaskBar, useTask } from "/tasks.js";
import { since } from "/times.js";
import { Failure, Link, go, html, percent, useEffect, useGallery, useLoaded, useState } from "/ui.js";

/** Add pictures to a person's photos, one after the other: [{file, photo or error}]. */
export async function addPhotos(name, files, heard = () => {}) {
  const results = [];
  for (const file of files) {
    heard(results.length);
    try {
      const { photo } = await upload(`/api/people/${encodeURIComponent(name)}/photos?file=${encodeURIComponent(file.name)}`, file);
      results.push({ file: file.name, photo });
    } catch (failure) {
      results.push({ file: file.name, error: failure.message });
    }
  }
  return results;
}

function Photo({ photo, mayChange, onRemove }) {
  const state = photo.is_counter_example ? "isn't this person" : photo.is_learnt ? "learnt" : "left out";
  return html`<figure class=${photo.is_learnt ? "photo" : "photo out"}>
    <img src=${photo.picture} alt=${photo.file} loading="lazy" />
    <figcaption>
      <span class=${photo.is_learnt ? "good" : "warn"}>${state}</span>
      ${photo.why && html`<span class="small"> · ${photo.why}</span>`}
      ${photo.is_learnt && photo.quality !== null && html`<span class="quiet small"> · quality ${percent(photo.quality)}</span>`}
      ${mayChange && html`<button class="plain" onClick=${() => onRemove(photo.file)} aria-label=${`Remove ${photo.file}`}>Remove</button>`}
    </figcaption>
  </figure>`;
}

function ForgetDialog({ name, onClose }) {
  const [task, setTask] = useState(null);
  const [error, setError] = useState("");
  const status = useTask(task);
  const begin = async (event) => {
    event.preventDefault();
    setError("");
    try {
      setTask(await post("/api/people/forget", { name, recordings: new FormData(event.target).has("recordings") }));
    } catch (failure) {
      setError(failure.message);
    }
  };
  const done = status?.state === "done" ? status.answer : null;
  return html`<${Dialog} title=${done ? `${name} is forgotten` : `Forget ${name}?`} onClose=${onClose}>
    ${!status && html`<form onSubmit=${begin}>
      <p>This erases the photos, what was learnt from them, all sightings and their pictures. It can't be undone. Backups are not changed.</p>
      <label class="check"><input type="checkbox" name="recordings" /> Also erase recordings that show ${name}</label>
      <${Failure} text=${error} />
      <div class="buttons"><button type="button" onClick=${onClose}>Cancel</button><button class="danger">Forget</button></div>
    </form>`}
    ${status?.state === "running" && html`<${TaskBar} status=${status} />`}
    ${status?.state === "failed" && html`<${Failure} text=${status.error} /><div class="buttons"><button onClick=${onClose}>Close</button></div>`}
    ${done && html`<p>Erased: ${done.gone}, and their data in the gallery.</p>
      <p>Searched afterwards, and free of ${name}:</p>
      <ul>${done.verified.map((folder) => html`<li><code>${folder}</code></li>`)}</ul>
      ${done.notes.map((note) => html`<p class="warn">${note}</p>`)}
      <div class="buttons"><button class="primary" onClick=${onClose}>Close</button></div>`}
  <//>`;
}

export function PersonPage({ name, who }) {
  const { value: found, error, again } = useLoaded(() => get(`/api/people/${encodeURIComponent(name)}`), [name]);
  const [asking, setAsking] = useState("");
  const [results, setResults] = useState(null);
  const [failure, setFailure] = useState("");
  const [changedIn, setChangedIn] = useState(null); // the gallery that was in use at the newest change
  const gallery = useGallery();
  useEffect(() => {
    if (asking !== "forget") again(); // who is being forgotten isn't there any more
  }, [gallery]);
  const maySort = who.may !== "look";
  const changed = () => {
    setChangedIn(gallery ?? null);
    again();
  };
  const add = async (files) => {
    setResults({ count: files.length, done: 0, list: [] });
    const list = await addPhotos(name, files, (done) => setResults({ count: files.length, done, list: [] }));
    setResults({ count: files.length, done: files.length, list });
    changed();
  };
  const remove = async (photo) => {
    setFailure("");
    try {
      await post("/api/photos/remove", { photo });
      changed();
    } catch (problem) {
      setFailure(problem.message);
    }
  };
  if (!found) return html`<p><${Link} to="/people" class="button">← People<//></p>${error && html`<h1>No such person</h1>`}<${Failure} text=${error} />`;
  const { person, photos, unlearnt } = found;
  const refused = results?.list.filter((one) => one.error) ?? [];
  return html`
    <p><${Link} to="/people" class="button">← People<//></p>
    <div class="heading"><h1 class="grow">${name}</h1>
      ${maySort && html`<button onClick=${() => setAsking("rename")}>Rename</button>
        <button onClick=${() => setAsking("merge")}>Merge into…</button>`}
      ${who.may === "rule" && html`<button class="danger" onClick=${() => setAsking("forget")}>Forget</button>`}</div>
    <${Failure} text=${failure || error} />
    <p class="quiet">
      ${person.last ? html`Last seen ${since(person.last)}. <${Link} to=${`/timeline?who=${encodeURIComponent(name)}`}>All sightings<//>. ` : "Not seen yet. "}
      ${person.nearest && `Most like ${person.nearest} (distance ${person.distance.toFixed(2)}). `}
      ${found.spread !== null && `Photos differ by ${found.spread.toFixed(2)}. `}
    </p>
    ${person.warnings.map((text) => html`<p class="warn">${text}</p>`)}
    ${maySort && html`<${DropZone} label=${`Drop photos of ${name} here`} onFiles=${add} />`}
    <div role="status">
      ${results && results.done < results.count && html`<p>Adding ${results.done + 1} of ${results.count}…</p>`}
      ${results?.list.length > 0 && html`<p>${results.list.length - refused.length} of ${results.count} added.</p>`}
      ${changedIn && html`<p>${changedIn === gallery ? "The gallery is learning the change…" : "The gallery has learnt the change."}</p>`}
    </div>
    ${refused.map((one) => html`<${Failure} text=${one.error} />`)}
    <div class="photos">
      ${photos.map((photo) => html`<${Photo} key=${photo.file} photo=${photo} mayChange=${maySort} onRemove=${remove} />`)}
      ${unlearnt.map((file) => html`<figure class="photo"><img src=${pictureOf(file)} alt=${file} loading="lazy" /><figcaption class="quiet">not learnt yet</figcaption></figure>`)}
    </div>
    ${!photos.length && !unlearnt.length && html`<p class="quiet">There is no photo. Add one, so that ${name} gets a name.</p>`}
    ${asking === "rename" && html`<${NameDialog} title=${`Rename ${name}`} label="New name" action="Rename" propose=${() => false} onClose=${() => setAsking("")}
      onName=${async (to) => { await post("/api/people/rename", { old: name, new: to }); go(`/people/${encodeURIComponent(to)}`); }} />`}
    ${asking === "merge" && html`<${NameDialog} title=${`Who is ${name} really?`} label="The other person" action="Merge" propose=${(one) => one !== name} onClose=${() => setAsking("")}
      onName=${async (to) => { await post("/api/people/merge", { source: name, target: to }); go(`/people/${encodeURIComponent(to)}`); }}>
        <p>All photos and sightings of ${name} become the other person's.</p><//>`}
    ${asking === "forget" && html`<${ForgetDialog} name=${name} onClose=${() => { setAsking(""); go("/people"); }} />`}
  `;
}
