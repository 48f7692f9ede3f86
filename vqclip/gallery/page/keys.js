// Keys, and the theme.

const THEMES = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = THEMES[name];
  try { localStorage.setItem("vqclip-theme", name); } catch { /* a page from a file may have no storage */ }
}

function savedTheme() {
  try { return localStorage.getItem("vqclip-theme"); } catch { return null; }
}

function nextTheme() {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
}

// The card that lies nearest in a direction; `sideways` and `down` are -1, 0 or 1.
function neighbour(card, sideways, down) {
  const elements = [...byId("grid").children];
  if (sideways) return elements[elements.indexOf(card) + sideways];
  const here = card.getBoundingClientRect();
  const beyond = elements.map((element) => ({ element, box: element.getBoundingClientRect() }))
    .filter(({ box }) => down * (box.top - here.top) > 1);
  const row = down > 0 ? Math.min(...beyond.map(({ box }) => box.top)) : Math.max(...beyond.map(({ box }) => box.top));
  const distance = ({ box }) => Math.abs(box.left + box.width / 2 - here.left - here.width / 2);
  return beyond.filter(({ box }) => box.top === row).sort((a, b) => distance(a) - distance(b))[0]?.element;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function moveFocus(key) {
  const card = document.activeElement.closest?.(".card");
  const next = card ? neighbour(card, ...ARROWS[key]) : byId("grid").firstElementChild;
  next?.querySelector(".open").focus();
  return Boolean(next);
}

function onKey(event) {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
  const card = target.closest(".card"), isOpen = byId("view").open;
  if (byId("pair").open || byId("help").open) return;
  let done = true;
  if (event.key in ARROWS && isOpen && ARROWS[event.key][0]) go(ARROWS[event.key][0]);
  else if (event.key in ARROWS && !isOpen && (card || target === document.body)) done = moveFocus(event.key);
  else if (event.key === "/" && !isOpen) focusSearch();
  else if (event.key === "c" && (isOpen || card)) pickByKey(isOpen ? viewed : card.dataset.run);
  else if (event.key === "y" && isOpen) copy(runOf(viewed).command, byId("view-copy"));
  else if (event.key === "y" && card) copy(runOf(card.dataset.run).command, card.querySelector(".pick"));
  else if (event.key === "t") nextTheme();
  else if (event.key === "?") byId("help").showModal();
  else done = false;
  if (done) event.preventDefault();
}

function focusSearch() {
  byId("search").focus();
  byId("search").select();
}

function pickByKey(id) {
  if (byId("view").open) byId("view").close();
  togglePick(id);
}

document.addEventListener("keydown", onKey);
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== "ArrowDown") return;
  event.preventDefault(); // or the image that gets the focus would open
  byId("grid").querySelector(".open")?.focus();
});
byId("theme").onclick = nextTheme;
byId("ask").onclick = () => byId("help").showModal();
setTheme(savedTheme() in THEMES ? savedTheme() : "system");
load(JSON.parse(byId("data").textContent));
