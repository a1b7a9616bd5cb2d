// The console works without this: it adds the keyboard, and keeps a review while its page is open.
"use strict";

const TYPED_IN = new Set(["INPUT", "TEXTAREA", "SELECT"]);
const RENEW_MS = 120_000;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (TYPED_IN.has(document.activeElement?.tagName) && document.activeElement.type !== "checkbox") return;
  if (document.querySelector("dialog[open]")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
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

// The next note is fetched ahead, and shown as soon as this one is decided, until its page has come.
const deciding = document.getElementById("decide");
if (deciding) {
  const parts = [".note", ".facts"];
  let ahead = null;
  fetch(deciding.dataset.next).then(async (answer) => {
    if (answer.ok) ahead = new DOMParser().parseFromString(await answer.text(), "text/html");
  });
  deciding.addEventListener("submit", () => {
    if (!ahead?.querySelector(parts[0])) return;
    for (const part of parts) document.querySelector(part).replaceWith(ahead.querySelector(part));
    scrollTo(0, 0);
  });
}

const renewing = document.getElementById("renew");
if (renewing) {
  const renew = () => fetch(renewing.action, { method: "POST", body: new URLSearchParams(new FormData(renewing)), redirect: "manual" });
  setInterval(() => document.hidden || renew(), RENEW_MS);
}
