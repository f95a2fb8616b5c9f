// The page: strokes on the canvas, and what the network says of them.

const element = (id) => document.getElementById(id);
const model = JSON.parse(element("model").textContent);
const parameters = decodeParameters(element("parameters").textContent.trim(), model.shapes);
const drawing = element("drawing");
const CANVAS = 280; // the size of the drawing for the network, whatever it is on the screen
const PEN = 20; // the width of a stroke there
const STEP = 14; // which an arrow key moves the pen

let strokes = []; // each a list of points [x, y], from 0 to CANVAS
const earlier = []; // the strokes before each change, for undo
const drawn = new Map(); // pointer -> the stroke that it draws
const pen = { x: CANVAS / 2, y: CANVAS / 2, stroke: null }; // of the keyboard

for (const name of model.classes) {
  const row = element("bars").appendChild(document.createElement("li"));
  for (const part of ["name", "bar", "value"]) {
    row.appendChild(document.createElement("span")).className = part;
  }
  row.querySelector(".name").textContent = name;
  row.querySelector(".bar").append(document.createElement("span"));
}

// Strokes

function change(changed) {
  earlier.push(strokes);
  strokes = changed;
  show();
}

function begin(point) {
  const stroke = [point];
  change([...strokes, stroke]);
  return stroke;
}

function undo() {
  letGo();
  strokes = earlier.pop() || [];
  show();
}

function clear() {
  letGo();
  if (strokes.length) change([]);
}

function letGo() {
  drawn.clear();
  pen.stroke = null;
}

/** Draw the strokes on a canvas of any size. */
function trace(context, size, colour) {
  context.setTransform(size / CANVAS, 0, 0, size / CANVAS, 0, 0);
  context.clearRect(0, 0, CANVAS, CANVAS);
  Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const [first, ...others] of strokes) {
    context.beginPath();
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    context.stroke();
  }
}

const hidden = document.createElement("canvas");
hidden.width = hidden.height = CANVAS;
const hiddenContext = hidden.getContext("2d", { willReadFrequently: true });

/** The ink of the strokes, from 0 to 1. */
function ink() {
  trace(hiddenContext, CANVAS, "black");
  const pixels = hiddenContext.getImageData(0, 0, CANVAS, CANVAS).data;
  const opacity = Float64Array.from({ length: CANVAS * CANVAS }, (_, i) => pixels[4 * i + 3] / 255);
  return { values: opacity, height: CANVAS, width: CANVAS };
}

// What is shown

let frame = 0;
let answering = 0;
let announcement = 0;

/** Paint before the next frame, and ask the network after it, once for all changes until then. */
function show() {
  frame = frame || requestAnimationFrame(() => {
    frame = 0;
    paint();
    answering = answering || setTimeout(answer);
  });
}

function paint() {
  const size = Math.round(drawing.clientWidth * devicePixelRatio);
  if (drawing.width !== size) drawing.width = drawing.height = size;
  const context = drawing.getContext("2d");
  const { color, backgroundColor } = getComputedStyle(drawing);
  trace(context, size, color);
  if (!drawing.matches(":focus-visible")) return;
  const accent = getComputedStyle(drawing).getPropertyValue("--accent");
  for (const [colour, width] of [[backgroundColor, 5], [accent, 2.5]]) {
    Object.assign(context, { strokeStyle: colour, fillStyle: accent, lineWidth: width });
    context.beginPath();
    context.arc(pen.x, pen.y, PEN / 2, 0, 2 * Math.PI);
    context.stroke();
  }
  if (pen.stroke) context.fill();
}

/** What the network says of an image, Uint8Array [28 * 28]. */
function predict(pixels) {
  const { logits, responses } = forward(model.architecture, parameters, pixels);
  return { probabilities: softmax(logits), responses };
}

function answer() {
  answering = 0;
  const pixels = strokes.length ? (model.prepared ? prepare : fit)(ink()) : null;
  const { probabilities, responses } = predict(pixels || new Uint8Array(784));
  showBars(pixels ? probabilities : null);
  showMaps(element("seen"), pixels || new Uint8Array(784), 28, 1);
  showMaps(element("responses"), pixels ? responses.values : responses.values.fill(0), responses.size, responses.channels);
}

function showBars(probabilities) {
  const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  [...element("bars").children].forEach((row, i) => {
    const percent = probabilities ? 100 * probabilities[i] : 0;
    row.className = i === best ? "best" : "";
    row.querySelector(".bar span").style.width = `${percent}%`;
    row.querySelector(".value").textContent = probabilities ? `${percent.toFixed(1)} %` : "";
  });
  const percent = probabilities ? (100 * probabilities[best]).toFixed(1) : "";
  element("answer").textContent = probabilities ? `${model.classes[best]}: ${percent} %` : "Nothing is drawn yet.";
  clearTimeout(announcement);
  announcement = setTimeout(say, 700, element("answer").textContent); // not at each movement
}

function say(text) {
  element("status").textContent = text;
}

/** Show maps, values [size, size, count], in rows of eight, each as bright as its largest value allows. */
function showMaps(canvas, values, size, count) {
  const across = Math.min(8, count);
  canvas.width = across * (size + 1) - 1;
  canvas.height = Math.ceil(count / across) * (size + 1) - 1;
  const context = canvas.getContext("2d");
  for (let number = 0; number < count; number++) {
    const map = Float32Array.from({ length: size * size }, (_, i) => Math.max(0, values[i * count + number]));
    const scale = 255 / (Math.max(...map) || 1);
    const pixels = context.createImageData(size, size);
    map.forEach((value, i) => pixels.data.set([value * scale, value * scale, value * scale, 255], 4 * i));
    context.putImageData(pixels, (number % across) * (size + 1), Math.floor(number / across) * (size + 1));
  }
}

// Events

function place(event) {
  const scale = CANVAS / drawing.clientWidth;
  const box = drawing.getBoundingClientRect();
  return [(event.clientX - box.left - drawing.clientLeft) * scale, (event.clientY - box.top - drawing.clientTop) * scale];
}

drawing.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drawing.setPointerCapture(event.pointerId);
  drawn.set(event.pointerId, begin(place(event)));
});
drawing.addEventListener("pointermove", (event) => {
  const stroke = drawn.get(event.pointerId);
  if (!stroke) return;
  const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  stroke.push(...(passed.length ? passed : [event]).map(place));
  show();
});
drawing.addEventListener("lostpointercapture", (event) => drawn.delete(event.pointerId));

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const within = (place) => Math.min(CANVAS, Math.max(0, place));

drawing.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key === " " && !event.repeat) {
    pen.stroke = pen.stroke ? null : begin([pen.x, pen.y]);
    say(pen.stroke ? "Pen down" : "Pen up");
  } else if (event.key in MOVES) {
    pen.x = within(pen.x + MOVES[event.key][0]);
    pen.y = within(pen.y + MOVES[event.key][1]);
    if (pen.stroke) pen.stroke.push([pen.x, pen.y]);
  } else if (event.key === "z") {
    undo();
  } else if (event.key === "c") {
    clear();
  } else if (event.key !== " ") {
    return;
  }
  event.preventDefault();
  show();
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z") undo();
});
drawing.addEventListener("focus", show);
drawing.addEventListener("blur", () => {
  pen.stroke = null;
  show();
});
element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", clear);
addEventListener("resize", paint);
for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", paint);
paint();
answer();
