// Was this face ever here? Sightings of the face in a photo, the likeliest first.

import { upload } from "/api.js";
import { DropZone } from "/dialogs.js";
import { Look, lookOf, placeOf, whoOf } from "/sighting_parts.js";
import { since } from "/times.js";
import { Failure, Link, html, percent, useEffect, useState } from "/ui.js";

const LIKELY = 0.5;

const Found = ({ found }) => html`<ol class="sightings">
  ${found.map((one) => html`<li class="sighting" key=${one.sighting.id}>
    <${Link} to=${`/timeline/${one.sighting.id}`}>
      <${Look} address=${lookOf(one.sighting, one.sighting.looks.indexOf(one.look))} size="56" />
      <span class="grow"><span class="first"><b>${whoOf(one.sighting)}</b><span class="tag" title="The probability that it is the same person">${percent(one.probability)}<span class="hidden"> likely the same person</span></span></span>
        <span class="quiet">${placeOf(one.sighting)}</span><span class="quiet">${since(one.sighting.begin)}</span></span>
    <//>
  </li>`)}
</ol>`;

function told(found, likely) {
  if (!found.length) return "No sighting has a picture yet.";
  if (!likely.length) return "This face was probably never here.";
  return likely.length === 1 ? "One sighting shows this face, probably." : `${likely.length} sightings show this face, probably.`;
}

export default function Search() {
  const [photo, setPhoto] = useState(null); // {address, name}
  const [found, setFound] = useState(null);
  const [error, setError] = useState("");
  useEffect(() => () => photo && URL.revokeObjectURL(photo.address), [photo]);
  const search = async ([file]) => {
    setPhoto({ address: URL.createObjectURL(file), name: file.name });
    setFound(null);
    setError("");
    try {
      setFound(await upload("/api/search", file));
    } catch (failure) {
      setError(failure.message);
    }
  };
  const likely = found?.filter((one) => one.probability >= LIKELY) ?? [];
  const others = found?.filter((one) => one.probability < LIKELY) ?? [];
  return html`<div class="page">
    <p><${Link} to="/timeline" class="button">← Timeline<//></p>
    <h1>Search by photo</h1>
    <p>Was this face ever here? The photo is compared with the pictures of all sightings, and not kept.</p>
    <${DropZone} label="Drop a photo here" many=${false} onFiles=${search} />
    <div role="status" class="searched">
      ${photo && html`<img src=${photo.address} alt="The photo" onError=${(event) => event.target.remove()} />`}
      ${photo && !found && !error && html`<p aria-busy="true">Searching for the face in ${photo.name}…</p>`}
      ${found && html`<p><b>${told(found, likely)}</b></p>`}
    </div>
    <${Failure} text=${error} />
    <${Found} found=${likely} />
    ${others.length > 0 && html`<details key=${photo.address} open=${!likely.length}><summary>${others.length} less likely</summary><${Found} found=${others} /></details>`}
  </div>`;
}
