// Losses as small curves, each on its own scale, with its last value.

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Give { element, point(step) }; `point` marks a step in all curves, or none if it is null.
function curves(curve) {
  const steps = curve.step || [], names = Object.keys(curve).filter((name) => name !== "step");
  const marks = [], first = steps[0], last = steps[steps.length - 1];
  const across = (step) => (last > first ? (100 * (step - first)) / (last - first) : 0);
  const rows = names.map((name) => {
    const points = curve[name].map((value, i) => [steps[i], value]).filter(([, value]) => value !== null);
    const values = points.map(([, value]) => value), least = Math.min(...values), most = Math.max(...values);
    const down = (value) => (most > least ? 30 - (28 * (value - least)) / (most - least) : 16);
    const path = points.map(([step, value]) => `${across(step).toFixed(2)} ${down(value).toFixed(2)}`).join("L");
    const [begin, end] = [points[0], points[points.length - 1]];
    const mark = shape("line", { y1: 0, y2: 32, x1: -1, x2: -1, visibility: "hidden" });
    marks.push(mark);
    const text = `${name}: ${round(begin[1])} at step ${begin[0]}, ${round(end[1])} at step ${end[0]}`;
    const drawing = shape("svg", { viewBox: "0 0 100 32", preserveAspectRatio: "none", role: "img", "aria-label": text },
      shape("path", { d: `M${path}` }), mark);
    return make("div", { class: "loss" }, make("span", { textContent: name, title: name }), drawing,
      make("span", { textContent: round(end[1]) }));
  });
  const point = (step) => {
    for (const mark of marks) {
      const x = Math.min(Math.max(across(step ?? first), 0), 100);
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
      mark.setAttribute("visibility", step === null ? "hidden" : "visible");
    }
  };
  return { element: make("div", {}, ...rows), point };
}
