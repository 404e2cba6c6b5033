// Questions in front of the page, and a place to drop pictures on.

import { get } from "/api.js";
import { Failure, html, useEffect, useLoaded, useRef, useState } from "/ui.js";

let ids = 0;
const useId = () => useState(() => `id${++ids}`)[0];

/** A window in front of the page; Escape closes it. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onClose=${onClose} onKeyDown=${(event) => event.stopPropagation()}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

/** Ask for a name; those known that `propose` holds for are proposed. `onName` may throw a sentence. */
export function NameDialog({ title, propose = () => true, label = "Name", action = "Save", onName, onClose, children }) {
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);
  const list = useId();
  const { value: names } = useLoaded(() => get("/api/person-names"), []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onName(new FormData(event.target).get("name").trim());
      onClose();
    } catch (failure) {
      setError(failure.message);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${children}
      <label>${label}<input name="name" list=${list} autocomplete="off" required maxlength="200" /></label>
      <datalist id=${list}>${(names ?? []).filter(propose).map((name) => html`<option value=${name}></option>`)}</datalist>
      <${Failure} text=${error} />
      <div class="buttons"><button type="button" onClick=${onClose}>Cancel</button><button class="primary" disabled=${isBusy}>${action}</button></div>
    </form>
  <//>`;
}

/** A place for pictures, dropped or chosen. `onFiles` gets a list of files. */
export function DropZone({ label, many = true, onFiles }) {
  const [isOver, setOver] = useState(false);
  const take = (files) => files.length && onFiles([...files]);
  return html`<label class=${isOver ? "drop over" : "drop"}
    onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
    onDrop=${(event) => { event.preventDefault(); setOver(false); take(event.dataTransfer.files); }}>
    <span>${label}</span><span class="button" aria-hidden="true">${many ? "Choose photos…" : "Choose a photo…"}</span>
    <input type="file" accept="image/*,.heic,.heif,.avif" multiple=${many} onChange=${(event) => { take(event.target.files); event.target.value = ""; }} />
  </label>`;
}
