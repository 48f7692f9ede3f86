// One run, large: image, command, progress, losses, settings. And two runs side by side.

let viewed = null; // the id of the run in the dialog
const moreActions = []; // functions from a run to a button, or to null; a server's page adds some

function view(id) {
  const run = runOf(id);
  if (!run) return;
  viewed = id;
  byId("view-prompt").textContent = run.prompt;
  byId("view-meta").textContent = [metaText(run), run.seconds && `${run.seconds} s`, run.device, run.made.replace("T", " ")].filter(Boolean).join(" · ");
  const chart = curves(run.curve);
  showImage(run);
  showActions(run);
  showProgress(run, chart);
  byId("view-losses").replaceChildren(...(run.curve.step ? [make("h3", { textContent: "Losses" }), chart.element] : []));
  showSettings(run);
  const at = shown.findIndex((other) => other.id === id);
  byId("view-previous").disabled = at <= 0;
  byId("view-next").disabled = at < 0 || at >= shown.length - 1;
  if (!byId("view").open) byId("view").showModal();
  for (const scrolled of [byId("view"), document.querySelector("#view .side")]) scrolled.scrollTop = 0;
}

function onStage(run, element) {
  element.style.setProperty("--ratio", ratio(run));
  element.style.setProperty("--most", `${3 * run.width}px`); // larger than that, pixels blur
  byId("stage").replaceChildren(element);
  return element;
}

function showImage(run) {
  if (run.film && run.video) return showVideo(run);
  if (!run.thumb) return onStage(run, make("p", { class: "meta", textContent: "This run has no image yet." }));
  const image = make("img", { alt: altText(run), src: run.image });
  image.addEventListener("error", () => (image.src = run.thumb), { once: true }); // the page was moved without its runs
  return onStage(run, image);
}

function showVideo(run) {
  if (!run.video.endsWith(".mp4")) return onStage(run, make("img", { alt: `How ${altText(run)} came about`, src: run.video }));
  const video = make("video", { controls: true, loop: true, muted: true, playsInline: true, preload: "metadata", src: run.video, "aria-label": altText(run) });
  if (run.thumb) video.poster = run.thumb;
  return onStage(run, video);
}

function showActions(run) {
  const copying = button("Copy command", () => copy(run.command, copying), { id: "view-copy", class: "strong", "aria-live": "polite" });
  const playing = run.video && !run.film && button("Play video", () => play(showVideo(run)));
  const opening = run.image && make("a", { href: run.image, target: "_blank", rel: "noopener", textContent: "Open image" });
  const comparing = button("Compare", () => { byId("view").close(); togglePick(run.id); });
  byId("view-actions").replaceChildren(copying, ...[playing, comparing, opening, ...moreActions.map((action) => action(run))].filter(Boolean));
  byId("view-actions").append(make("code", { class: "command", textContent: run.command }));
}

const play = (element) => element.play && element.play().catch(() => {});

function showProgress(run, chart) {
  const box = byId("view-progress"), frames = run.frames;
  if (!frames) {
    const none = run.finished ? "This run kept no images of its steps. With --video, a run does." : "";
    return box.replaceChildren(...(none ? [make("p", { class: "meta", textContent: none })] : []));
  }
  const last = frames.numbers.length; // the position after the frames is the image itself
  const text = make("output", { class: "meta", for: "slider" });
  const slider = make("input", { id: "slider", type: "range", min: 0, max: last, value: last, "aria-label": "Progress" });
  const move = () => {
    const at = Number(slider.value), number = frames.numbers[at];
    text.textContent = at === last ? "the image" : frames.unit === "step" ? `step ${number}` : `frame ${number + 1}`;
    slider.setAttribute("aria-valuetext", text.textContent);
    chart.point(at === last || frames.unit !== "step" ? null : number);
    if (at === last) showImage(run);
    else showFrame(run, at, text.textContent);
  };
  text.textContent = "the image";
  slider.addEventListener("input", move);
  return box.replaceChildren(make("div", { class: "slider" }, make("h3", { textContent: "Progress" }), text), slider);
}

function showFrame(run, at, name) {
  const count = run.frames.numbers.length;
  const there = byId("stage").querySelector(".frame");
  const frame = there || onStage(run, make("div", { class: "frame", role: "img" }));
  frame.setAttribute("aria-label", `${altText(run)}: ${name}`);
  frame.style.backgroundImage = `url("${run.frames.file}")`;
  frame.style.backgroundSize = `${100 * count}% 100%`;
  frame.style.backgroundPosition = `${(100 * at) / (count - 1)}% 0`;
}

function showSettings(run) {
  const own = Object.entries(run.settings).filter(([key]) => key !== "prompts" && key !== "seed");
  const all = Object.entries(settingsOf(run));
  const parts = [make("h3", { textContent: "Settings" })];
  if (own.length) parts.push(table(own));
  else parts.push(make("p", { class: "meta", textContent: "The same as most runs here." }));
  parts.push(make("details", {}, make("summary", { textContent: `All ${all.length} settings` }), table([...all, ["vqclip", run.version], ["run", run.name]])));
  byId("view-settings").replaceChildren(...parts);
}

function go(by) {
  const next = shown[shown.findIndex((run) => run.id === viewed) + by];
  if (next) view(next.id);
}

function compare() {
  const [one, other] = picked.map(runOf);
  if (!one || !other) return;
  byId("pair-images").replaceChildren(...[one, other].map((run) => make("figure", {},
    run.thumb ? make("img", { src: run.thumb, alt: altText(run) }) : make("p", { class: "meta", textContent: "no image yet" }),
    make("figcaption", { textContent: run.prompt }), make("p", { class: "meta", textContent: metaText(run) }))));
  const rows = differing(one, other);
  byId("pair-table").replaceChildren(rows.length
    ? table(rows, ["Setting", "Left", "Right"])
    : make("p", { class: "meta", textContent: "Both were made with the same settings." }));
  if (!byId("pair").open) byId("pair").showModal();
}

function differing(one, other) {
  const left = { ...settingsOf(one), ...about(one) }, right = { ...settingsOf(other), ...about(other) };
  const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return keys.filter((key) => JSON.stringify(left[key]) !== JSON.stringify(right[key])).map((key) => [key, left[key], right[key]]);
}

function about(run) {
  const losses = Object.entries(run.losses).map(([name, value]) => [`loss: ${name}`, round(value)]);
  return { ...Object.fromEntries(losses), score: run.score, "steps taken": run.steps, seconds: run.seconds, device: run.device, vqclip: run.version };
}

byId("view").addEventListener("close", () => {
  byId("stage").replaceChildren();
  cards.get(viewed)?.open.focus();
  viewed = null;
});
byId("view-previous").onclick = () => go(-1);
byId("view-next").onclick = () => go(1);
for (const id of ["view", "pair", "help"]) byId(`${id}-close`).onclick = () => byId(id).close();
