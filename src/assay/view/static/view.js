// Keys. Everything they do is also a link or a button, so that the pages work without this file.
"use strict";

const dialog = document.getElementById("keys");
for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => dialog.showModal());
}

const rows = [...document.querySelectorAll("a.open")];

function follow(selector) {
  const found = document.querySelector(selector);
  if (found) found.click();
  return Boolean(found);
}

function move(by) {
  if (!rows.length) return false;
  const here = rows.indexOf(document.activeElement);
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + by, 0), rows.length - 1);
  rows[next].focus();
  rows[next].scrollIntoView({ block: "nearest" });
  return true;
}

function filter() {
  const field = document.getElementById("keep");
  if (!field) return follow('a[rel="up"]');
  field.focus();
  field.select();
  return true;
}

const actions = {
  j: () => move(1) || follow('a[rel="next"]'),
  k: () => move(-1) || follow('a[rel="prev"]'),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  ArrowRight: () => follow('a[rel="next"]'),
  ArrowLeft: () => follow('a[rel="prev"]'),
  u: () => follow('a[rel="up"]'),
  "/": filter,
  "?": () => { dialog.showModal(); return true; },
};

// A second click while the first is on its way would answer the next question unseen.
const form = document.getElementById("answer");
if (form) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  window.addEventListener("pageshow", () => { sent = false; });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=radio]), textarea, select, video, audio");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || dialog.open || event.repeat && document.getElementById("answer") || event.ctrlKey || event.metaKey || event.altKey) return;
  const onControl = event.target.closest("button, a, input, summary");
  const labelled = document.querySelector(`[data-key~="${CSS.escape(event.key)}"]:not(:disabled)`);
  if (labelled && !(onControl && event.key === "Enter" && onControl.type !== "radio")) {
    labelled.click();
    event.preventDefault();
  } else if (Object.hasOwn(actions, event.key) && actions[event.key]()) {
    event.preventDefault();
  }
});
