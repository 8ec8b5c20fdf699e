// The page's first script. It needs so little that it can report when the rest does not load.

import { Expected, checkBrowser, report } from "./messages.js";

addEventListener("error", (event) => report(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => {
  event.preventDefault(); // it is reported here
  report(event.reason);
});
if (checkBrowser()) {
  const { start } = await import("./main.js").catch((error) => {
    const message = "A script of this page or libraries/d3.js does not load";
    throw new Expected(`${message} (${error.message}). Run 'make repro', then 'make explore', and load this page again.`);
  });
  start();
}
