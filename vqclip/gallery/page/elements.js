"use strict";
// Make elements, and spell values. All text goes through textContent: nothing in a prompt becomes HTML.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("aria-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function button(text, onclick, properties = {}) {
  return make("button", { type: "button", textContent: text, onclick, ...properties });
}

function spell(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(spell).join(" | ");
  return String(value);
}

const round = (number) => (Math.abs(number) < 1 ? number.toPrecision(3) : number.toFixed(2));
const ratio = (run) => Math.min(Math.max(run.width / run.height, 0.2), 5);
const altText = (run) => `${run.prompt}, seed ${run.seed}`;

function metaText(run) {
  const size = `${run.width}×${run.height}`;
  const state = run.finished ? `${run.steps} steps` : `unfinished, step ${run.steps}`;
  return [`seed ${run.seed}`, size, state, run.film ? "film" : "", run.score === null ? "" : `score ${run.score}`].filter(Boolean).join(" · ");
}

function table(rows, heads) {
  const line = ([name, ...cells]) =>
    make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells.map((cell) => make("td", { textContent: spell(cell) })));
  const head = heads && make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text }))));
  return make("div", { class: "scroll" }, make("table", {}, head, make("tbody", {}, ...rows.map(line))));
}

async function copy(text, pressed) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = make("textarea", { value: text, readOnly: true });
    (pressed.closest("dialog") || document.body).append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
    pressed.focus();
  }
  const before = pressed.dataset.label || pressed.textContent;
  pressed.dataset.label = before;
  pressed.textContent = "Copied";
  setTimeout(() => (pressed.textContent = before), 1500);
}
