// Keeps the page alive: fetches it again and puts the new content in. When that fails, the page says
// that it is a copy, and from when. Without this script the browser reloads the page by itself.
"use strict";

const PATIENCE_MS = 10_000; // for one answer
const PATIENCE = 2; // failures in a row before the page calls itself a copy

let failures = 0;
let timer;

function content() {
  return document.getElementById("content");
}

// The page says how often it wants to be fetched: a login under way shows what became of it sooner.
function every() {
  return 1000 * Number(content().dataset.every);
}

function freeze(frozen) {
  const banner = document.getElementById("frozen");
  banner.querySelector("time").textContent = content().dataset.asOf;
  banner.hidden = !frozen;
  document.body.classList.toggle("frozen", frozen);
}

function replace(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const next = fresh.getElementById("content");
  if (!next) throw new Error("not our page");
  for (const open of document.querySelectorAll("details[open]")) {
    const same = next.querySelector("#" + CSS.escape(open.id));
    if (same) same.open = true;
  }
  const focused = document.activeElement?.closest("details")?.id;
  content().replaceWith(next);
  if (focused) document.getElementById(focused)?.querySelector("summary").focus({ preventScroll: true });
  document.title = fresh.title;
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`answer ${answer.status}`);
    replace(await answer.text());
    failures = 0;
  } catch {
    failures += 1;
  }
  freeze(failures >= PATIENCE || (failures > 0 && location.protocol === "file:"));
  if (!document.hidden) timer = setTimeout(refresh, every());
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) refresh();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) refresh();
});
timer = setTimeout(refresh, location.protocol === "file:" ? 0 : every());
