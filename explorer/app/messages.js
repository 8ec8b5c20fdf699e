// What the page says: aloud to screen readers, and to everyone where something failed.

import { button, make } from "./elements.js";

const QUIET = 400; // ms without another message before one is read out: a drag makes many

let waiting = 0;

/** Have screen readers tell what changed; of messages in quick succession only the last is told. */
export function announce(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    document.getElementById("announcements").textContent = text;
  }, QUIET);
}

/** Show a message until it is closed; the same one is shown once. */
export function notify(text) {
  const notices = document.getElementById("notices");
  if ([...notices.children].some((notice) => notice.dataset.text === text)) return;
  const notice = make("div", { class: "notice", data: { text } }, make("p", {}, text));
  notice.append(button("Close", () => notice.remove(), { class: "quiet" }));
  notices.append(notice);
}

/** Show what went wrong. */
export function report(error) {
  notify(error instanceof Expected ? error.message : `Something in this page failed: ${error?.message ?? error}`);
  if (!(error instanceof Expected)) console.error(error);
}

/** Something that can go wrong without a fault of this page; its message tells what to do. */
export class Expected extends Error {}

/** Say which browsers the page works in, where this one lacks something; return whether it lacks nothing. */
export function checkBrowser() {
  const needed = {
    WebAssembly: typeof WebAssembly === "object",
    "module workers": typeof Worker === "function",
    DecompressionStream: typeof DecompressionStream === "function",
    "2-D canvas": document.createElement("canvas").getContext("2d") !== null,
  };
  const missing = Object.keys(needed).filter((name) => !needed[name]);
  if (missing.length === 0) return true;
  notify(
    `This browser has no ${missing.join(", no ")}, or it is switched off, and the page cannot work without. ` +
      "Chrome and Edge from 123, Firefox from 120 and Safari from 17.5 have all that is needed.",
  );
  return false;
}
