// The grid: one card for each run; searching, filtering and sorting show and order them.

let gallery = { base: {}, runs: [] };
let cards = new Map(); // by run id
let shown = []; // the runs that match, in their order
const picked = []; // ids of at most two runs

const settingsOf = (run) => ({ ...gallery.base, ...run.settings });

function load(data) {
  gallery = data;
  const before = cards;
  cards = new Map(data.runs.map((run) => {
    const card = before.get(run.id);
    return [run.id, card && card.made === JSON.stringify(run) ? card : cardOf(run)];
  }));
  listFacets();
  arrange();
}

function cardOf(run) {
  const image = run.thumb
    ? make("img", { src: run.thumb, alt: altText(run), loading: "lazy", decoding: "async", width: run.width, height: run.height })
    : make("span", { class: "none", textContent: "no image yet" });
  const open = make("button", { type: "button", class: "open", onclick: () => view(run.id), "aria-label": altText(run) + (run.thumb ? "" : ", no image yet") }, image);
  const pick = button("Compare", () => togglePick(run.id), { class: "pick", "aria-pressed": "false", "aria-label": `Compare ${altText(run)}` });
  const label = make("p", { class: "prompt", textContent: run.prompt, title: run.prompt });
  const element = make("li", { class: "card" }, open, label, make("p", { class: "meta", textContent: metaText(run) }), pick);
  element.style.setProperty("--ratio", ratio(run));
  element.dataset.run = run.id;
  return { element, open, pick, made: JSON.stringify(run), words: wordsOf(run) };
}

function wordsOf(run) {
  const settings = Object.entries(settingsOf(run)).map(([key, value]) => `${key}=${spell(value)}`);
  return [run.prompt, run.name, `seed ${run.seed}`, run.device, ...settings].join("\n").toLowerCase();
}

const KINDS = {
  "": () => true,
  still: (run) => !run.film,
  film: (run) => run.film,
  finished: (run) => run.finished,
  unfinished: (run) => !run.finished,
};
const ORDERS = {
  newest: (a, b) => b.made.localeCompare(a.made) || b.name.localeCompare(a.name),
  oldest: (a, b) => a.made.localeCompare(b.made) || a.name.localeCompare(b.name),
  prompt: (a, b) => a.prompt.localeCompare(b.prompt) || ORDERS.seed(a, b),
  seed: (a, b) => Number(a.seed) - Number(b.seed),
  score: (a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity) || ORDERS.newest(a, b),
  loss: (a, b) => (a.loss ?? Infinity) - (b.loss ?? Infinity) || ORDERS.newest(a, b),
};

// Settings in which the runs differ, with at most twelve values each.
function listFacets() {
  const facet = byId("facet"), chosen = facet.value;
  facet.replaceChildren(make("option", { value: "", textContent: "Any settings" }));
  const keys = Object.keys(gallery.base).filter((key) => key !== "prompts" && key !== "seed");
  for (const key of keys) {
    const counts = new Map();
    for (const run of gallery.runs) {
      const value = JSON.stringify(key in run.settings ? run.settings[key] : gallery.base[key]);
      counts.set(value, (counts.get(value) || 0) + 1);
    }
    if (counts.size < 2 || counts.size > 12) continue;
    const options = [...counts].map(([value, count]) =>
      make("option", { value: JSON.stringify([key, value]), textContent: `${spell(JSON.parse(value))} (${count})` }));
    facet.append(make("optgroup", { label: key }, ...options));
  }
  facet.value = [...facet.options].some((option) => option.value === chosen) ? chosen : "";
}

function matches(run) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const facet = byId("facet").value;
  if (!KINDS[byId("kind").value](run)) return false;
  if (facet) {
    const [key, value] = JSON.parse(facet);
    if (JSON.stringify(settingsOf(run)[key]) !== value) return false;
  }
  return words.every((word) => cards.get(run.id).words.includes(word));
}

function arrange() {
  shown = gallery.runs.filter(matches).sort(ORDERS[byId("sort").value]);
  byId("grid").replaceChildren(...shown.map((run) => cards.get(run.id).element));
  const all = gallery.runs.length, some = shown.length;
  byId("count").textContent = all === some ? `${all} ${all === 1 ? "run" : "runs"}` : `${some} of ${all} runs`;
  byId("empty").hidden = some > 0 || all === 0;
  byId("none").hidden = all > 0;
  byId("by-score").hidden = gallery.runs.every((run) => run.score === null);
  showPicks();
}

function resetFilters() {
  byId("filters").reset();
  arrange();
  byId("search").focus();
}

function togglePick(id) {
  const at = picked.indexOf(id);
  if (at >= 0) picked.splice(at, 1);
  else picked.push(id);
  if (picked.length > 2) picked.shift();
  showPicks();
  if (at < 0 && picked.length === 2) compare();
}

function showPicks() {
  picked.splice(0, picked.length, ...picked.filter((id) => cards.has(id)));
  for (const [id, card] of cards) card.pick.setAttribute("aria-pressed", String(picked.includes(id)));
  byId("tray").hidden = picked.length === 0;
  const runs = picked.map(runOf).filter((run) => run.thumb);
  byId("tray-images").replaceChildren(...runs.map((run) => make("img", { src: run.thumb, alt: altText(run) })));
  byId("tray-text").textContent = picked.length === 1 ? "Choose a second one" : "";
  byId("tray-compare").hidden = picked.length < 2;
}

const runOf = (id) => gallery.runs.find((run) => run.id === id);

for (const id of ["search", "kind", "facet", "sort"]) byId(id).addEventListener("input", arrange);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("reset").onclick = resetFilters;
byId("tray-compare").onclick = () => compare();
byId("tray-clear").onclick = () => { picked.length = 0; showPicks(); };
