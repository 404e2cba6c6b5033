// Was this face ever here? Sightings of the face in a photo, the likeliest first.

import { upload } from "/api.js";
import { DropZone } from "/dialogs.js";
import { Look, placeOf, whoOf } from "/sighting_parts.js";
import { dayOf, nameOf, time } from "/times.js";
import { Failure, Link, html, percent, useEffect, useState } from "/ui.js";

const lookOf = ({ sighting, look }) => {
  const n = sighting.looks.indexOf(look);
  return n < 0 ? null : `/api/sightings/${sighting.id}/looks/${n}?file=${encodeURIComponent(look)}`;
};

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
  return html`<div class="page">
    <h1>Search by photo</h1>
    <p>Was this face ever here? The photo is compared with the pictures of all sightings, and not kept.</p>
    <${DropZone} label="Drop a photo here, or choose one" many=${false} onFiles=${search} />
    <div role="status">
      ${photo && !found && !error && html`<p aria-busy="true">Searching for the face in ${photo.name}…</p>`}
      ${found && !found.length && html`<p>No sighting has a picture yet.</p>`}
    </div>
    <${Failure} text=${error} />
    ${found?.length > 0 && html`<ol class="sightings">
      ${found.map((one) => html`<li class="sighting" key=${one.sighting.id}>
        <${Link} to=${`/timeline/${one.sighting.id}`}>
          <${Look} address=${lookOf(one)} size="56" />
          <span class="grow"><span class="first"><b>${whoOf(one.sighting)}</b> <span class="tag">${percent(one.probability)} the same person</span></span>
            <span class="quiet">${placeOf(one.sighting)} · ${nameOf(dayOf(new Date(one.sighting.begin)))}, ${time(one.sighting.begin)}</span></span>
        <//>
      </li>`)}
    </ol>`}
  </div>`;
}
