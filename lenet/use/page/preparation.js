// A drawing -> an image as MNIST has them. The same steps as in preparation.py, for a drawing: it has no paper.
// An image is { values: Float64Array, height, width }; ink goes from 0 to 1.
const SIZE = 28; // of MNIST's images
const BOX = 20; // of the digit in them
const FINE_SIZE = 80; // of the digit while its strokes are measured
const THINNEST = 0.125; // widths of strokes, as shares of the digit's longer side
const THICKEST = 0.2;

/** The ink of a drawing -> Uint8Array [28 * 28], or null if there is none. */
function prepare(drawing) {
  const threshold = Math.min(0.5, Math.max(0.2, otsu(drawing.values)));
  const parts = mainParts(drawing, threshold);
  if (!parts) return null;
  let ink = scaled(crop(copy(drawing, (value, i) => (near(parts, i) ? value : 0)), parts), FINE_SIZE);
  const largest = Math.max(...ink.values);
  ink = copy(ink, (value) => Math.min(1, value) / Math.min(1, largest));
  const width = strokeWidth(copy(ink, (value) => (value > 0.4 ? 1 : 0))) / FINE_SIZE;
  const wider = Math.round(((THINNEST - width) * FINE_SIZE) / 2);
  const narrower = Math.round(((width - THICKEST) * FINE_SIZE) / 2);
  if (wider > 0) {
    ink = widened(padded(ink, wider), wider, 0);
  } else if (narrower > 0) {
    const paper = copy(padded(ink, 1), (value) => 1 - value);
    const thin = copy(widened(paper, narrower, 1), (value) => 1 - value);
    if (Math.max(...thin.values) > 0.5) ink = crop(thin, copy(thin, (value) => (value > 0.1 ? 1 : 0)));
  }
  return centred(copy(scaled(ink, BOX), (value) => Math.min(1, Math.max(0, value))));
}

/** A picture's channels, each an image, in the middle of height x width, on the median colour of its border. */
function fit(channels, height, width) {
  return channels.map((channel) => {
    const scale = Math.min(height / channel.height, width / channel.width);
    const [tall, wide] = [channel.height, channel.width].map((side) => Math.max(1, Math.round(side * scale)));
    const small = resized(channel, tall, wide);
    const median = medianOfBorder(channel);
    const fitted = copy(emptyImage(height, width), () => median);
    const [top, left] = [(height - tall) >> 1, (width - wide) >> 1];
    for (let row = 0; row < tall; row++) {
      fitted.values.set(small.values.subarray(row * wide, (row + 1) * wide), (top + row) * width + left);
    }
    return fitted;
  });
}

function medianOfBorder({ values, height, width }) {
  const at = (row, column) => values[row * width + column];
  const border = [];
  for (let column = 0; column < width; column++) border.push(at(0, column), at(height - 1, column));
  for (let row = 0; row < height; row++) border.push(at(row, 0), at(row, width - 1));
  return border.sort((a, b) => a - b)[border.length >> 1];
}

function emptyImage(height, width) {
  return { values: new Float64Array(height * width), height, width };
}

function copy(source, change) {
  return { ...source, values: source.values.map(change) };
}

/** The threshold with the greatest variance between the values above and below (Otsu 1979). */
function otsu(values) {
  const bins = 64;
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor(value * bins))]++;
  const mass = counts.map((count, bin) => (count * (bin + 0.5)) / bins);
  const total = mass.reduce((a, b) => a + b);
  let [best, threshold, below, massBelow] = [-1, 0, 0, 0];
  for (let bin = 0; bin < bins - 1; bin++) {
    below += counts[bin];
    massBelow += mass[bin];
    const variance =
      ((total * below) / values.length - massBelow) ** 2 / Math.max(below * (values.length - below), 1);
    if (variance > best) [best, threshold] = [variance, (bin + 1) / bins];
  }
  return threshold;
}

/** The largest connected part, and others that are not far smaller and do not touch the edge: 1 there, else 0. */
function mainParts(drawing, threshold) {
  const { values, height, width } = drawing;
  const part = new Int32Array(values.length);
  const areas = [0];
  const atEdge = [false];
  for (let start = 0; start < values.length; start++) {
    if (part[start] || values[start] <= threshold) continue;
    const number = areas.length;
    const waiting = [start];
    part[start] = number;
    areas.push(0);
    atEdge.push(false);
    while (waiting.length) {
      const at = waiting.pop();
      const [row, column] = [Math.floor(at / width), at % width];
      areas[number]++;
      if (row === 0 || column === 0 || row === height - 1 || column === width - 1) atEdge[number] = true;
      for (const next of neighbours(drawing, at)) {
        if (part[next] || values[next] <= threshold) continue;
        part[next] = number;
        waiting.push(next);
      }
    }
  }
  if (areas.length === 1) return null;
  const inside = areas.map((area, number) => (atEdge[number] ? 0 : area));
  const largest = Math.max(...areas);
  const main = Math.max(...inside) >= 0.2 * largest ? inside.indexOf(Math.max(...inside)) : areas.indexOf(largest);
  const kept = inside.map((area, number) => number === main || area > 0.04 * areas[main]);
  return copy(drawing, (_, i) => (part[i] && kept[part[i]] ? 1 : 0));
}

function neighbours({ height, width }, at) {
  const [row, column] = [Math.floor(at / width), at % width];
  const found = [];
  for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) found.push(y * width + x);
  }
  return found;
}

function near(mask, at) {
  return neighbours(mask, at).some((i) => mask.values[i]);
}

/** The part of an image where a mask of the same size is not 0. */
function crop(source, mask) {
  const [rows, columns] = [[], []];
  mask.values.forEach((value, i) => {
    if (!value) return;
    rows.push(Math.floor(i / mask.width));
    columns.push(i % mask.width);
  });
  const bounds = (places) => places.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [1e9, 0]);
  const [[top, bottom], [left, right]] = [bounds(rows), bounds(columns)];
  const result = emptyImage(bottom - top + 1, right - left + 1);
  for (let row = top; row <= bottom; row++) {
    const from = row * source.width;
    result.values.set(source.values.subarray(from + left, from + right + 1), (row - top) * result.width);
  }
  return result;
}

function padded(source, by) {
  const result = emptyImage(source.height + 2 * by, source.width + 2 * by);
  for (let row = 0; row < source.height; row++) {
    const values = source.values.subarray(row * source.width, (row + 1) * source.width);
    result.values.set(values, (row + by) * result.width + by);
  }
  return result;
}

/** Twice the area over the outline's length, which is pi / 4 of the sides of its pixels, on average over slants. */
function strokeWidth(mask) {
  const { values, height, width } = padded(mask, 1);
  let [area, sides] = [0, 0];
  values.forEach((value, i) => {
    area += value;
    if ((i + 1) % width && value !== values[i + 1]) sides++;
    if (i + width < height * width && value !== values[i + width]) sides++;
  });
  return (2 * area) / (sides * (Math.PI / 4));
}

/** Each pixel gets the largest value within a circle around it; outside the image is `outside`. */
function widened(source, radius, outside) {
  const { values, height, width } = source;
  const shifts = [];
  for (let y = -radius; y <= radius; y++) {
    for (let x = -radius; x <= radius; x++) if (y * y + x * x <= (radius + 0.3) ** 2) shifts.push([y, x]);
  }
  return copy(source, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    let largest = 0;
    for (const [y, x] of shifts) {
      const inside = row + y >= 0 && row + y < height && column + x >= 0 && column + x < width;
      largest = Math.max(largest, inside ? values[i + y * width + x] : outside);
    }
    return largest;
  });
}

/** Scale the longer side to `size` pixels, the shape kept. */
function scaled(source, size) {
  const longer = Math.max(source.height, source.width);
  const [height, width] = [source.height, source.width].map((side) =>
    Math.max(1, Math.floor((side * size) / longer + 0.5)),
  );
  return resized(source, height, width);
}

/** Scale to height x width: by means to shrink, else linearly. */
function resized(source, height, width) {
  const [rows, columns] = [shares(source.height, height), shares(source.width, width)];
  const between = emptyImage(source.height, width);
  const result = emptyImage(height, width);
  for (let row = 0; row < source.height; row++) {
    columns.forEach((share, column) => {
      for (const [i, weight] of share) {
        between.values[row * width + column] += weight * source.values[row * source.width + i];
      }
    });
  }
  rows.forEach((share, row) => {
    for (const [i, weight] of share) {
      for (let column = 0; column < width; column++) {
        result.values[row * width + column] += weight * between.values[i * width + column];
      }
    }
  });
  return result;
}

/** For each of `size` pixels the [pixel, share] of those it is made of. */
function shares(old, size) {
  const scale = old / size;
  return Array.from({ length: size }, (_, i) => {
    const first = i * scale;
    const found = [];
    for (let pixel = 0; pixel < old; pixel++) {
      const share =
        scale > 1
          ? Math.min(first + scale, pixel + 1) - Math.max(first, pixel)
          : 1 - Math.abs(first + scale / 2 - 0.5 - pixel);
      if (share > 0) found.push([pixel, share]);
    }
    const sum = found.reduce((total, [, share]) => total + share, 0);
    return found.map(([pixel, share]) => [pixel, share / sum]);
  });
}

/** Put a digit into 28x28, its centre of mass in the middle as far as it fits. */
function centred(ink) {
  let [mass, y, x] = [0, 0, 0];
  ink.values.forEach((value, i) => {
    mass += value;
    y += value * Math.floor(i / ink.width);
    x += value * (i % ink.width);
  });
  const largest = Math.max(...ink.values);
  const corner = (sum, side) =>
    Math.min(SIZE - side, Math.max(0, Math.floor((SIZE - 1) / 2 - sum / mass + 0.5)));
  const [top, left] = [corner(y, ink.height), corner(x, ink.width)];
  const result = new Uint8Array(SIZE * SIZE);
  ink.values.forEach((value, i) => {
    const at = (top + Math.floor(i / ink.width)) * SIZE + left + (i % ink.width);
    result[at] = Math.floor((255 * value) / largest + 0.5);
  });
  return result;
}
