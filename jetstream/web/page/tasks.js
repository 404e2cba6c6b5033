// Work that takes a while: begun on the server, and followed until it ends.

import { get, post } from "/api.js";
import { html, useEffect, useState } from "/ui.js";

const ASK_EVERY_MS = 400;

/** The task's newest status; null without a task. `onEnd` is called once, when it has ended. */
export function useTask(task, onEnd) {
  const [status, setStatus] = useState(null);
  useEffect(() => {
    setStatus(task);
    if (!task) return;
    let wanted = true;
    const follow = async () => {
      while (wanted) {
        try {
          const now = await get(`/api/tasks/${task.id}`);
          if (!wanted) return;
          setStatus(now);
          if (now.state !== "running") return onEnd?.(now);
        } catch (failure) {
          if (failure.status !== 0) return wanted && setStatus({ ...task, state: "failed", error: failure.message });
        }
        await new Promise((done) => setTimeout(done, ASK_EVERY_MS));
      }
    };
    follow();
    return () => (wanted = false);
  }, [task?.id]);
  return status;
}

export const stop = (task) => post(`/api/tasks/${task.id}/stop`).catch(() => {});

export const TaskBar = ({ status }) =>
  html`<div role="status" class="task">
    <progress max="1" value=${status.state === "running" ? status.share : 1} aria-label="Progress"></progress>
    <span>${status.state === "running" ? status.what || "begins…" : ""}</span>
  </div>`;
