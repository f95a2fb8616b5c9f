// The network: an image, Uint8Array [height * width * channels], -> logits, and the first layer's responses.
// All arrays are flat, in the order [height, width, channels]; kernels are [row, column, in, out].
const ACTIVATIONS = {
  relu: (x) => Math.max(0, x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** Parameters by name, from base64 of float16 in the order of `shapes`: [[name, shape], ...]. */
function decodeParameters(base64, shapes) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const halves = new Uint16Array(bytes.buffer);
  const values = Float32Array.from({ length: 65536 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = (half & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });
  const parameters = {};
  let first = 0;
  for (const [name, shape] of shapes) {
    const size = shape.reduce((a, b) => a * b);
    const array = new Float32Array(size);
    for (let i = 0; i < size; i++) array[i] = values[halves[first + i]];
    parameters[name] = array;
    first += size;
  }
  return parameters;
}

/** The logits, and the first convolution's output with its height, width and number of channels. */
function forward({ architecture, image_shape }, parameters, pixels) {
  const activation = ACTIVATIONS[architecture.activation];
  let x = Float32Array.from(pixels, (value) => value / 255);
  let [height, width, channels] = image_shape;
  let responses = null;
  architecture.conv.forEach((conv, i) => {
    const [kernel, bias] = ["kernel", "bias"].map((part) => parameters[`conv${i + 1}/${part}`]);
    const lost = conv.padding === "same" ? 0 : conv.kernel - 1;
    x = convolve(x, [height, width, channels], kernel, bias, conv.kernel, lost).map(activation);
    [height, width, channels] = [height - lost, width - lost, conv.filters];
    responses = responses || { values: x, height, width, channels };
    x = pool(x, [height, width, channels], conv);
    [height, width] = [height, width].map((side) => Math.ceil(side / conv.pool_stride));
  });
  architecture.dense.forEach((_, i) => {
    x = dense(x, parameters[`dense${i + 1}/kernel`], parameters[`dense${i + 1}/bias`]).map(activation);
  });
  return { logits: dense(x, parameters["output/kernel"], parameters["output/bias"]), responses };
}

/** Stride 1; with SAME padding, which loses no pixels, the odd one is on the right and at the bottom. */
function convolve(x, [height, width, channels], kernel, bias, size, lost) {
  const filters = bias.length;
  const before = lost ? 0 : (size - 1) >> 1;
  const y = new Float32Array((height - lost) * (width - lost) * filters);
  for (let row = 0; row < height - lost; row++) {
    for (let column = 0; column < width - lost; column++) {
      const at = (row * (width - lost) + column) * filters;
      y.set(bias, at);
      for (let i = Math.max(0, before - row); i < size && row + i - before < height; i++) {
        for (let j = Math.max(0, before - column); j < size && column + j - before < width; j++) {
          const from = ((row + i - before) * width + column + j - before) * channels;
          for (let channel = 0; channel < channels; channel++) {
            const value = x[from + channel];
            if (value === 0) continue;
            const weights = ((i * size + j) * channels + channel) * filters;
            for (let filter = 0; filter < filters; filter++) y[at + filter] += value * kernel[weights + filter];
          }
        }
      }
    }
  }
  return y;
}

/** Maximum or average with SAME padding, which is never the maximum and which no average counts. */
function pool(x, [height, width, channels], conv) {
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / conv.pool_stride));
  const before = (side, count) => Math.max(0, (count - 1) * conv.pool_stride + conv.pool_window - side) >> 1;
  const [above, aside] = [before(height, rows), before(width, columns)];
  const y = new Float32Array(rows * columns * channels);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [top, left] = [row * conv.pool_stride - above, column * conv.pool_stride - aside];
      const [bottom, right] = [Math.min(height, top + conv.pool_window), Math.min(width, left + conv.pool_window)];
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        let largest = -Infinity;
        let count = 0;
        for (let i = Math.max(0, top); i < bottom; i++) {
          for (let j = Math.max(0, left); j < right; j++) {
            const value = x[(i * width + j) * channels + channel];
            sum += value;
            largest = Math.max(largest, value);
            count++;
          }
        }
        y[(row * columns + column) * channels + channel] = conv.pool === "max" ? largest : sum / count;
      }
    }
  }
  return y;
}

function dense(x, kernel, bias) {
  const y = Float32Array.from(bias);
  const units = bias.length;
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue;
    for (let unit = 0; unit < units; unit++) y[unit] += value * kernel[i * units + unit];
  }
  return y;
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / sum);
}
