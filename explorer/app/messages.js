// The page's messages: announcements for screen readers, and errors for everyone.

import { button, make } from "./elements.js";

const QUIET = 400; // ms without another message before one is read out: a drag sends many

let waiting = 0;

/** Let screen readers announce what changed; of messages in quick succession, only the last is read. */
export function announce(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    document.getElementById("announcements").textContent = text;
  }, QUIET);
}

/** Show a message until it is closed; show the same message only once. */
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

/** Something that can go wrong without a bug in this page; its message says what to do. */
export class Expected extends Error {}

/** If this browser lacks something, say which browsers work; return whether it lacks nothing. */
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
    `This browser has no ${missing.join(", no ")}, or has it switched off, and the page cannot work without it. ` +
      "Use Chrome or Edge 123, Firefox 120, Safari 17.5, or newer.",
  );
  return false;
}
