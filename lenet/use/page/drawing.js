// The page: strokes on the canvas, and what the network says of them.
"use strict";

const model = JSON.parse(document.getElementById("model").textContent);
const parameters = decodeParameters(document.getElementById("parameters").textContent.trim(), model.shapes);
const element = (id) => document.getElementById(id);
const [drawing, answer, bars] = [element("drawing"), element("answer"), element("bars")];
const pen = { width: 20, x: drawing.width / 2, y: drawing.height / 2, step: 14, down: false, shown: false };
let strokes = []; // each a list of points [x, y]
let planned = false;

for (const name of model.classes) {
  const row = document.createElement("li");
  for (const [part, text] of [["name", name], ["bar", ""], ["value", ""]]) {
    const cell = row.appendChild(document.createElement("span"));
    cell.className = part;
    cell.textContent = text;
  }
  row.querySelector(".bar").append(document.createElement("span"));
  bars.append(row);
}

/** Draw the strokes in the theme's colour; where the canvas is opaque there is ink. */
function paint(strokesOnly = false) {
  const context = drawing.getContext("2d", { willReadFrequently: true });
  context.clearRect(0, 0, drawing.width, drawing.height);
  Object.assign(context, { lineWidth: pen.width, lineCap: "round", lineJoin: "round" });
  context.strokeStyle = getComputedStyle(drawing).color;
  for (const [first, ...others] of strokes) {
    context.beginPath();
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    context.stroke();
  }
  if (pen.shown && !strokesOnly) {
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    context.beginPath();
    context.arc(pen.x, pen.y, pen.width / 2, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** The ink of the strokes, from 0 to 1. */
function ink() {
  paint(true);
  const { width, height } = drawing;
  const pixels = drawing.getContext("2d").getImageData(0, 0, width, height).data;
  return { values: Float64Array.from({ length: width * height }, (_, i) => pixels[4 * i + 3] / 255), height, width };
}

/** What the network says of an image, Uint8Array [28 * 28]. */
function predict(image) {
  const { logits, responses } = forward(model.architecture, parameters, image);
  return { probabilities: softmax(logits), responses };
}

function update() {
  planned = false;
  const image = strokes.length ? (model.prepared ? prepare : fit)(ink()) : null;
  paint();
  const result = predict(image || new Uint8Array(784));
  show(image ? result.probabilities : null);
  showImage(element("seen"), [image || new Uint8Array(784)], 28, 1, () => 255);
  const { values, size, channels } = result.responses;
  const maps = Array.from({ length: channels }, (_, channel) => values.filter((_, i) => i % channels === channel));
  showImage(element("responses"), image ? maps : maps.map((map) => map.fill(0)), size, 8, (map) => Math.max(...map));
}

function show(probabilities) {
  const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  [...bars.children].forEach((row, i) => {
    const percent = probabilities ? 100 * probabilities[i] : 0;
    row.className = i === best ? "best" : "";
    row.querySelector(".bar span").style.width = `${percent}%`;
    row.querySelector(".value").textContent = probabilities ? `${percent.toFixed(1)} %` : "";
  });
  const text = probabilities
    ? `${model.classes[best]}: ${(100 * probabilities[best]).toFixed(0)} %`
    : "Nothing is drawn yet.";
  if (answer.textContent !== text) answer.textContent = text;
}

/** Show maps of size x size side by side, each as bright as its own largest value allows. */
function showImage(canvas, maps, size, columns, largestOf) {
  const gap = maps.length > 1 ? 1 : 0;
  const across = Math.min(columns, maps.length);
  const rows = Math.ceil(maps.length / across);
  canvas.width = across * (size + gap) - gap;
  canvas.height = rows * (size + gap) - gap;
  const context = canvas.getContext("2d");
  maps.forEach((map, number) => {
    const largest = largestOf(map) || 1;
    const pixels = context.createImageData(size, size);
    map.forEach((value, i) => {
      const level = (255 * Math.max(0, value)) / largest;
      pixels.data.set([level, level, level, 255], 4 * i);
    });
    const [row, column] = [Math.floor(number / across), number % across];
    context.putImageData(pixels, column * (size + gap), row * (size + gap));
  });
}

/** Update before the next frame, once for all events until then. */
function changed() {
  if (!planned) requestAnimationFrame(update);
  planned = true;
}

function place(event) {
  const box = drawing.getBoundingClientRect();
  return [((event.clientX - box.left) * drawing.width) / box.width, ((event.clientY - box.top) * drawing.height) / box.height];
}

function undo() {
  strokes.pop();
  pen.down = false;
  changed();
}

function clear() {
  strokes = [];
  pen.down = false;
  changed();
}

drawing.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drawing.setPointerCapture(event.pointerId);
  Object.assign(pen, { down: false, shown: false });
  strokes.push([place(event)]);
  changed();
});
drawing.addEventListener("pointermove", (event) => {
  if (!drawing.hasPointerCapture(event.pointerId)) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  strokes.at(-1).push(...(events.length ? events : [event]).map(place));
  changed();
});
drawing.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key === " ") {
    pen.down = !pen.down;
    if (pen.down) strokes.push([[pen.x, pen.y]]);
  } else if (moves[event.key]) {
    const [x, y] = moves[event.key];
    pen.x = Math.min(drawing.width, Math.max(0, pen.x + x * pen.step));
    pen.y = Math.min(drawing.height, Math.max(0, pen.y + y * pen.step));
    if (pen.down) strokes.at(-1).push([pen.x, pen.y]);
  } else {
    return;
  }
  pen.shown = true;
  event.preventDefault();
  changed();
});
drawing.addEventListener("blur", () => {
  Object.assign(pen, { down: false, shown: false });
  changed();
});
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (event.altKey || ((event.ctrlKey || event.metaKey) && key !== "z")) return;
  if (key === "z" || key === "backspace") undo();
  else if (key === "c" || key === "escape" || key === "delete") clear();
});
element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", clear);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
update();
