// The console works without this: it adds the keyboard, and keeps a review while its page is open.
"use strict";

const TYPED_IN = new Set(["INPUT", "TEXTAREA", "SELECT"]);
const RENEW_MS = 120_000;
const SETTLE_MS = 250;

// A key speaks of a note that was read: none counts until the note has been there for a moment. A key that is hit before
// begins the moment anew, so that a burst of taps is one, and a key that is held counts once.
const deciding = document.getElementById("decide");
let settling;
const settle = () => {
  clearTimeout(settling);
  settling = setTimeout(() => (deciding.dataset.ready = "yes"), SETTLE_MS);
};
if (deciding) settle();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (TYPED_IN.has(document.activeElement?.tagName) && document.activeElement.type !== "checkbox") return;
  if (document.querySelector("dialog[open]")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  if (deciding && !deciding.dataset.ready && button.type === "submit") settle();
  else if (!event.repeat) button.click();
});

document.addEventListener("click", (event) => {
  const dialog = event.target.closest("[data-help]")?.dataset.help;
  if (dialog) document.getElementById(dialog).showModal();
});

// A decision is sent once, however often its key is hit.
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});

// What can be taken back counts down, and goes when that is over.
const last = document.querySelector("[data-left]");
if (last) {
  const until = performance.now() + 1000 * last.dataset.left;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    if (left <= 0) return last.remove();
    last.querySelector(".left").textContent = last.querySelector(".left").textContent.replace(/\d+/, left);
  };
  setInterval(tick, 1000);
}

const renewing = document.getElementById("renew");
if (renewing) {
  const renew = () => fetch(renewing.action, { method: "POST", body: new URLSearchParams(new FormData(renewing)), redirect: "manual" });
  setInterval(() => document.hidden || renew(), RENEW_MS);
}
