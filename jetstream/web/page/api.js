// Asks the server. Every answer is JSON; an error is thrown with the server's own sentence.

export class ServerError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const listeners = new Set();

/** Call `heard` when the server says that nobody is logged in any more; returns how to stop that. */
export function onLoggedOut(heard) {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ServerError(0, "jetstream does not answer; is it running?");
  }
  const kind = answer.headers.get("content-type") ?? "";
  const body = kind.startsWith("application/json") ? await answer.json() : null;
  if (answer.ok) return body;
  if (answer.status === 401 && path !== "/api/login") for (const heard of listeners) heard();
  throw new ServerError(answer.status, body?.error ?? `${path}: ${answer.status}`);
}

export const get = (path) => ask(path);

export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Send a file as it is. */
export const upload = (path, file) =>
  ask(path, { method: "POST", headers: { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" }, body: file });
