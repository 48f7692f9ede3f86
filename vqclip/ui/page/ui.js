// The live part of a server's page: ask for images, follow the queue, and let results fall into the gallery.

const PRESET = "standard", ACTIVE = ["waiting", "running"];
let init = null; // the name of the uploaded start image
let states = {}; // the state of each task when it was last heard of
let working = new Set(); // the ids of the runs in the queue, which are shown above the gallery

async function send(path, body) {
  const answer = await fetch(path, { method: "POST", body });
  const said = await answer.text();
  if (answer.ok) return JSON.parse(said);
  let problem = said;
  try { problem = JSON.parse(said).error; } catch { /* a plain text */ }
  throw new Error(problem);
}

function attempt(act) {
  return async (event) => {
    event?.preventDefault();
    byId("problem").textContent = "";
    try {
      await act(event);
      await follow();
    } catch (error) {
      byId("problem").textContent = error.message;
    }
  };
}

function addPrompt(focus) {
  const isFirst = !byId("prompts").children.length;
  const text = make("textarea", { rows: 1, "aria-label": isFirst ? "Prompt" : "Another prompt",
    placeholder: isFirst ? "What should the image show?" : "Another prompt; a weight below 0 moves away from it" });
  const weight = make("input", { type: "number", step: "0.1", value: "1" });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); byId("request").requestSubmit(); }
  });
  byId("prompts").append(make("div", { class: "ask" }, text, make("label", { textContent: "Weight" }, weight)));
  if (focus) text.focus();
}

function asked() {
  const prompts = [...byId("prompts").children].map((row) => ({
    text: row.querySelector("textarea").value, weight: Number(row.querySelector("input").value || 1) }));
  const number = (id) => byId(id).value.trim();
  return { prompts, preset: byId("preset").value, size: number("size"), steps: number("steps"), seed: number("seed"), init };
}

async function upload() {
  const [file] = byId("init").files;
  if (!file) return;
  try {
    init = (await send("api/images", file)).name;
    byId("init-image").src = URL.createObjectURL(file);
    byId("init-image").hidden = byId("init-clear").hidden = false;
  } catch (error) {
    removeInit();
    throw error;
  }
}

function removeInit() {
  init = null;
  byId("init").value = "";
  byId("init-image").hidden = byId("init-clear").hidden = true;
}

async function reload() {
  const answer = await fetch("api/gallery");
  if (!answer.ok) return;
  const data = await answer.json();
  load({ ...data, runs: data.runs.filter((run) => !working.has(run.id)) });
}

async function follow() {
  const answer = await fetch("api/tasks");
  if (!answer.ok) throw new Error(await answer.text());
  const { tasks } = await answer.json();
  const ended = tasks.some((task) => states[task.id] !== task.state && !ACTIVE.includes(task.state));
  states = Object.fromEntries(tasks.map((task) => [task.id, task.state]));
  working = new Set(tasks.filter((task) => ACTIVE.includes(task.state)).map((task) => task.run));
  showTasks(tasks);
  if (ended) await reload();
  return tasks.some((task) => ACTIVE.includes(task.state));
}

function showTasks(tasks) {
  const current = tasks.find((task) => task.state === "running");
  byId("current").hidden = !current;
  if (current) showCurrent(current);
  const listed = tasks.filter((task) => task.state === "waiting" || task.state === "failed");
  const rows = listed.map((task) => make("li", {},
    make("span", { class: "prompt", textContent: task.prompt }),
    make("span", { class: task.state === "failed" ? "failed" : "meta", textContent: task.message || `waits · seed ${task.seed}` }),
    task.state === "waiting" ? button("Remove", stopping(task), { class: "quiet", "aria-label": `Remove ${task.prompt}` }) : null));
  if (byId("queue").textContent !== rows.map((row) => row.textContent).join("")) byId("queue").replaceChildren(...rows);
}

const stopping = (task) => attempt(() => send(`api/tasks/${task.id}/stop`));

function showCurrent(task) {
  byId("current-prompt").textContent = task.prompt;
  byId("current-meta").textContent = task.steps ? `step ${task.done} of ${task.steps} · seed ${task.seed}` : `loads the models · seed ${task.seed}`;
  const bar = byId("current-bar");
  if (task.steps) { bar.max = task.steps; bar.value = task.done; } else bar.removeAttribute("value");
  byId("current-losses").replaceChildren(...(task.curve.step ? [curves(task.curve).element] : []));
  byId("current-stop").onclick = stopping(task);
  showPreview(task);
}

async function showPreview(task) {
  const box = byId("current-image"), version = `${task.id}-${task.version}`;
  if (box.dataset.version === version) return;
  box.dataset.version = version;
  if (!task.version) return box.replaceChildren();
  const image = make("img", { alt: `${task.prompt}, as it is at step ${task.done}`, src: `api/tasks/${task.id}/preview?${task.version}` });
  try { await image.decode(); } catch { return; }
  if (box.dataset.version === version) box.replaceChildren(image);
}

async function watch() {
  let pause = 2000;
  try {
    pause = (await follow()) ? 500 : 2000;
    document.body.classList.remove("lost");
    if (byId("problem").dataset.lost) { byId("problem").textContent = ""; delete byId("problem").dataset.lost; }
  } catch {
    byId("problem").textContent = "The server doesn’t answer. Start it again with: vqclip ui";
    byId("problem").dataset.lost = "true";
  }
  setTimeout(watch, document.hidden ? 4000 : pause);
}

function fillPresets(names) {
  byId("preset").replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  byId("preset").value = names.includes(PRESET) ? PRESET : names[0];
}

function fromView(text, path) {
  return (run) => button(text, () => {
    byId("view").close();
    window.scrollTo({ top: 0 });
    attempt(() => send(`api/runs/${run.id}/${path}`))();
  });
}

const goOn = fromView("Go on", "resume"), vary = fromView("Vary the seed", "vary");
moreActions.push((run) => (run.finished ? null : goOn(run)), vary);
byId("request").addEventListener("submit", attempt(() => send("api/tasks", JSON.stringify(asked()))));
byId("add-prompt").onclick = () => addPrompt(true);
byId("init").addEventListener("change", attempt(upload));
byId("init-clear").onclick = removeInit;
addPrompt(false);
fillPresets(gallery.presets);
watch().then(reload);
