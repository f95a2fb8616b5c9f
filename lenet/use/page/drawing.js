// The page: strokes on the canvas, and what the network says of them.

const element = (id) => document.getElementById(id);
const model = JSON.parse(element("model").textContent);
const parameters = decodeParameters(element("parameters").textContent.trim(), model.shapes);
const drawing = element("drawing");
const [HEIGHT, WIDTH, CHANNELS] = model.image_shape;
// The size of the drawing for the network, whatever it is on the screen.
const [CANVAS_HEIGHT, CANVAS_WIDTH] = [HEIGHT, WIDTH].map((side) => Math.round((280 * side) / Math.max(HEIGHT, WIDTH)));
const PEN = 20; // the width of a stroke there
const STEP = 14; // which an arrow key moves the pen
const ROWS = 12; // of classes in their order; of more classes the most probable ten are shown
const MAXIMUM_SIDE = 1000; // to which a picture is reduced when it is opened

let strokes = []; // each a list of points [x, y] with a colour
let picture = null; // that was opened: a canvas
const earlier = []; // the strokes and the picture before each change, for undo
const drawn = new Map(); // pointer -> the stroke that it draws
const pen = { x: CANVAS_WIDTH / 2, y: CANVAS_HEIGHT / 2, stroke: null }; // of the keyboard

const inOrder = model.classes.length <= ROWS;
drawing.style.aspectRatio = `${WIDTH} / ${HEIGHT}`;
drawing.style.width = `min(100%, ${70 * Math.min(1, WIDTH / HEIGHT)}svh)`; // a tall one fits on the screen
for (const name of inOrder ? model.classes : model.classes.slice(0, 10)) {
  const row = element("bars").appendChild(document.createElement("li"));
  for (const part of ["name", "bar", "value"]) {
    row.appendChild(document.createElement("span")).className = part;
  }
  row.querySelector(".name").textContent = name;
  row.querySelector(".bar").append(document.createElement("span"));
}

// Strokes

function change(newStrokes, newPicture = picture) {
  earlier.push([strokes, picture]);
  [strokes, picture] = [newStrokes, newPicture];
  show();
}

function begin(point) {
  const stroke = Object.assign([point], { colour: element("colour") ? element("colour").value : "" });
  change([...strokes, stroke]);
  return stroke;
}

function undo() {
  letGo();
  [strokes, picture] = earlier.pop() || [[], null];
  show();
}

function clear() {
  letGo();
  if (element("file")) element("file").value = "";
  change([], null);
}

function letGo() {
  drawn.clear();
  pen.stroke = null;
}

/** Draw the strokes on a canvas of any size; without a colour each has its own. */
function trace(context, width, colour) {
  context.setTransform(width / CANVAS_WIDTH, 0, 0, width / CANVAS_WIDTH, 0, 0);
  Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    const [first, ...others] = stroke;
    context.strokeStyle = colour || stroke.colour;
    context.beginPath();
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    context.stroke();
  }
}

const hidden = document.createElement("canvas");
[hidden.height, hidden.width] = [CANVAS_HEIGHT, CANVAS_WIDTH];

/** A canvas's channels, from 0 to 1: red, green, blue and opacity. */
function channelsOf(canvas) {
  const { height, width } = canvas;
  const pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data;
  return [0, 1, 2, 3].map((channel) => ({
    values: Float64Array.from({ length: height * width }, (_, i) => pixels[4 * i + channel] / 255),
    height,
    width,
  }));
}

/** The strokes: their channels, in one colour or in their own. */
function traced(colour) {
  const context = hidden.getContext("2d", { willReadFrequently: true });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, CANVAS_WIDTH, CANVAS_HEIGHT);
  trace(context, CANVAS_WIDTH, colour);
  return channelsOf(hidden);
}

/** The ink of the strokes, from 0 to 1. */
function ink() {
  return traced("white")[3];
}

/** The strokes on the picture, or on black, as the network takes images: for data not prepared as MNIST is. */
function image() {
  const [red, green, blue, opacity] = traced(CHANNELS === 3 ? "" : "white");
  const nothing = emptyImage(HEIGHT, WIDTH);
  const below = picture ? picture.fitted : [nothing, nothing, nothing];
  const covered = resized(opacity, HEIGHT, WIDTH).values;
  const channels = [red, green, blue].map((channel, i) => {
    const drawn = resized(copy(channel, (value, at) => value * opacity.values[at]), HEIGHT, WIDTH).values;
    return copy(below[i], (value, at) => value * (1 - covered[at]) + drawn[at]);
  });
  const grey = (at) => 0.299 * channels[0].values[at] + 0.587 * channels[1].values[at] + 0.114 * channels[2].values[at];
  const value = CHANNELS === 1 ? grey : (at, channel) => channels[channel].values[at];
  return Uint8Array.from({ length: HEIGHT * WIDTH * CHANNELS }, (_, i) =>
    Math.min(255, Math.round(255 * value(Math.floor(i / CHANNELS), i % CHANNELS))),
  );
}

/** The opposite of the ink's tone, for the paper of a picture that is transparent. */
function paperOf([red, green, blue, opacity]) {
  let [ink, total] = [0, 1e-6];
  opacity.values.forEach((weight, i) => {
    ink += weight * (0.299 * red.values[i] + 0.587 * green.values[i] + 0.114 * blue.values[i]);
    total += weight;
  });
  return ink / total > 0.5 ? "black" : "white";
}

/** Take a picture in place of what is drawn; reduced if it is large. */
async function openPicture(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, MAXIMUM_SIDE / Math.max(bitmap.width, bitmap.height));
    const opened = document.createElement("canvas");
    [opened.width, opened.height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
    const context = opened.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, opened.width, opened.height);
    context.globalCompositeOperation = "destination-over"; // below what is transparent
    context.fillStyle = paperOf(channelsOf(opened));
    context.fillRect(0, 0, opened.width, opened.height);
    opened.fitted = fit(channelsOf(opened).slice(0, 3), HEIGHT, WIDTH);
    letGo();
    change([], opened);
  } catch {
    say("This picture cannot be read.");
    element("answer").textContent = "This picture cannot be read.";
  }
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
  const width = Math.round(drawing.clientWidth * devicePixelRatio);
  const scale = width / CANVAS_WIDTH;
  if (drawing.width !== width) [drawing.width, drawing.height] = [width, Math.round(CANVAS_HEIGHT * scale)];
  const context = drawing.getContext("2d");
  const { color, backgroundColor } = getComputedStyle(drawing);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, CANVAS_WIDTH, CANVAS_HEIGHT);
  if (picture) {
    const share = Math.min(CANVAS_WIDTH / picture.width, CANVAS_HEIGHT / picture.height);
    const [wide, tall] = [picture.width * share, picture.height * share];
    context.drawImage(picture, (CANVAS_WIDTH - wide) / 2, (CANVAS_HEIGHT - tall) / 2, wide, tall);
  }
  trace(context, width, element("colour") ? "" : picture ? "white" : color);
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

/** What the network says of an image, Uint8Array [height * width * channels]. */
function predict(pixels) {
  const { logits, responses } = forward(model, parameters, pixels);
  return { probabilities: softmax(logits), responses };
}

function answer() {
  answering = 0;
  const pixels = strokes.length || picture ? (model.prepared ? prepare(ink()) : image()) : null;
  const seen = pixels || new Uint8Array(HEIGHT * WIDTH * CHANNELS);
  const { probabilities, responses } = predict(seen);
  showBars(pixels ? probabilities : null);
  showSeen(element("seen"), seen);
  if (!pixels) responses.values.fill(0);
  showMaps(element("responses"), responses);
}

function showBars(probabilities) {
  const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  const ranked = model.classes.map((_, i) => i);
  if (!inOrder && probabilities) ranked.sort((a, b) => probabilities[b] - probabilities[a]);
  [...element("bars").children].forEach((row, place) => {
    const i = ranked[place];
    const percent = probabilities ? 100 * probabilities[i] : 0;
    row.className = i === best ? "best" : "";
    row.title = row.querySelector(".name").textContent = model.classes[i];
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

/** Show an image as the network sees it. */
function showSeen(canvas, image) {
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(WIDTH, HEIGHT);
  for (let i = 0; i < HEIGHT * WIDTH; i++) {
    const [red, green, blue] = [0, 1, 2].map((channel) => image[i * CHANNELS + Math.min(channel, CHANNELS - 1)]);
    pixels.data.set([red, green, blue, 255], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
}

/** Show maps, values [height, width, count], in rows of eight, each as bright as its largest value allows. */
function showMaps(canvas, { values, height, width, channels: count }) {
  const across = Math.min(8, count);
  canvas.width = across * (width + 1) - 1;
  canvas.height = Math.ceil(count / across) * (height + 1) - 1;
  const context = canvas.getContext("2d");
  for (let number = 0; number < count; number++) {
    const map = Float32Array.from({ length: height * width }, (_, i) => Math.max(0, values[i * count + number]));
    const scale = 255 / (map.reduce((most, value) => Math.max(most, value), 0) || 1);
    const pixels = context.createImageData(width, height);
    map.forEach((value, i) => pixels.data.set([value * scale, value * scale, value * scale, 255], 4 * i));
    context.putImageData(pixels, (number % across) * (width + 1), Math.floor(number / across) * (height + 1));
  }
}

// Events

function place(event) {
  const scale = CANVAS_WIDTH / drawing.clientWidth;
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
const within = (place, size) => Math.min(size, Math.max(0, place));

drawing.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key === " " && !event.repeat) {
    pen.stroke = pen.stroke ? null : begin([pen.x, pen.y]);
    say(pen.stroke ? "Pen down" : "Pen up");
  } else if (event.key in MOVES) {
    pen.x = within(pen.x + MOVES[event.key][0], CANVAS_WIDTH);
    pen.y = within(pen.y + MOVES[event.key][1], CANVAS_HEIGHT);
    if (pen.stroke) pen.stroke.push([pen.x, pen.y]);
  } else if (event.key.toLowerCase() === "z") {
    undo();
  } else if (event.key.toLowerCase() === "c") {
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
if (element("file")) element("file").addEventListener("change", (event) => openPicture(event.target.files[0]));
addEventListener("resize", paint);
for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", paint);
paint();
answer();
