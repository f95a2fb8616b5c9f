"""LeNet and Adam in plain NumPy, float64: written from the formulas, to be slow and obvious."""

import numpy as np

ACTIVATIONS = {  # name -> (function, its derivative by the function's value)
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(float)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y**2),
}


def pad(x, window, stride, value=0.0):
    """x [n, h, w, c] padded SAME, and how much is above and left of the image: TensorFlow's definition."""
    totals = [max((-(-size // stride) - 1) * stride + window - size, 0) for size in x.shape[1:3]]
    edges = [(total // 2, total - total // 2) for total in totals]
    return np.pad(x, [(0, 0), *edges, (0, 0)], constant_values=value), (edges[0][0], edges[1][0])


def convolve(x, kernel, padding):
    """Stride 1: x [n, h, w, c], kernel [k, k, c, f] -> [n, h', w', f]."""
    size = kernel.shape[0]
    if padding == "same":
        x, _ = pad(x, size, 1)
    height, width = x.shape[1] - size + 1, x.shape[2] - size + 1
    windows = ((i, j, x[:, i : i + height, j : j + width]) for i in range(size) for j in range(size))
    return sum(window @ kernel[i, j] for i, j, window in windows)


def convolve_backward(x, kernel, padding, dy):
    """The gradients by x and by the kernel."""
    size, (height, width) = kernel.shape[0], dy.shape[1:3]
    padded, before = pad(x, size, 1) if padding == "same" else (x, (0, 0))
    dpadded, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(size):
        for j in range(size):
            dkernel[i, j] = np.einsum("nhwc,nhwf->cf", padded[:, i : i + height, j : j + width], dy)
            dpadded[:, i : i + height, j : j + width] += dy @ kernel[i, j].T
    return unpadded(dpadded, before, x), dkernel


def unpadded(padded, before, x):
    """The part of a padded array that is x's."""
    return padded[:, before[0] : before[0] + x.shape[1], before[1] : before[1] + x.shape[2]]


def pool_weights(x, conv):
    """For each output [n, i, j, c] the padded rows, columns and weights of its window: all the gradient needs.

    The weight is 1 for the (first) maximum, or 1 / count for each place of an average that is not padding.
    """
    window, stride = conv.pool_window, conv.pool_stride
    padded, _ = pad(x, window, stride, -np.inf)
    for i in range(-(-x.shape[1] // stride)):
        for j in range(-(-x.shape[2] // stride)):
            rows, columns = slice(i * stride, i * stride + window), slice(j * stride, j * stride + window)
            part = padded[:, rows, columns]  # [n, window, window, c]
            flat = part.reshape(len(x), -1, x.shape[3])
            if conv.pool == "max":
                weights = np.arange(flat.shape[1])[:, None] == flat.argmax(axis=1)[:, None]
            else:
                inside = np.isfinite(flat)
                weights = inside / inside.sum(axis=1, keepdims=True)
            yield i, j, rows, columns, weights.reshape(part.shape), np.where(np.isfinite(part), part, 0)


def pool(x, conv):
    height, width = (-(-size // conv.pool_stride) for size in x.shape[1:3])
    y = np.zeros((len(x), height, width, x.shape[3]))
    for i, j, _, _, weights, part in pool_weights(x, conv):
        y[:, i, j] = (weights * part).sum(axis=(1, 2))
    return y


def pool_backward(x, conv, dy):
    """The gradient by x."""
    padded, before = pad(x, conv.pool_window, conv.pool_stride)
    dpadded = np.zeros_like(padded)
    for i, j, rows, columns, weights, _ in pool_weights(x, conv):
        dpadded[:, rows, columns] += weights * dy[:, i, j][:, None, None]
    return unpadded(dpadded, before, x)


def gradients(network, parameters, images, labels, label_smoothing=0.0):
    """Mean cross-entropy of a batch, uint8 [n, 28, 28, 1], its gradient by every parameter, and the logits."""
    activate, slope = ACTIVATIONS[network.architecture.activation]
    names, convolutions = [layer.name for layer in network.layers], network.architecture.conv
    x = images / 255
    trail = []
    for name, conv in zip(names, convolutions, strict=False):
        y = activate(convolve(x, parameters[f"{name}/kernel"], conv.padding) + parameters[f"{name}/bias"])
        trail.append((name, conv, x, y))
        x = pool(y, conv)
    flat_shape = x.shape
    x = x.reshape(len(x), -1)
    inputs = []
    for name in names[len(convolutions) :]:
        inputs.append(x)
        z = x @ parameters[f"{name}/kernel"] + parameters[f"{name}/bias"]
        x = z if name == "output" else activate(z)
    logits = x
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = (1 - label_smoothing) * np.eye(network.classes)[labels] + label_smoothing / network.classes
    cross_entropy = -(targets * log_probabilities).sum(axis=1).mean()

    found = {}
    delta = (np.exp(log_probabilities) - targets) / len(labels)
    for name, x in reversed(list(zip(names[len(convolutions) :], inputs, strict=True))):
        found[f"{name}/kernel"], found[f"{name}/bias"] = x.T @ delta, delta.sum(axis=0)
        delta = delta @ parameters[f"{name}/kernel"].T
        if name != names[len(convolutions)]:
            delta = delta * slope(x)
    delta = delta.reshape(flat_shape)
    for name, conv, x, y in reversed(trail):
        delta = pool_backward(y, conv, delta) * slope(y)
        found[f"{name}/bias"] = delta.sum(axis=(0, 1, 2))
        delta, found[f"{name}/kernel"] = convolve_backward(x, parameters[f"{name}/kernel"], conv.padding, delta)
    return cross_entropy, {name: found[name] for name in parameters}, logits


def train(network, parameters, batches, learning_rate=1e-4, label_smoothing=0.0):
    """Adam (Kingma & Ba 2015, epsilon-hat form) over batches of (images, labels), with one learning rate or one a step;
    returns each step's cross-entropy, the last parameters, and the two moments.
    """
    parameters = {name: array.copy() for name, array in parameters.items()}
    first = {name: np.zeros_like(array) for name, array in parameters.items()}
    second = {name: np.zeros_like(array) for name, array in parameters.items()}
    cross_entropies = []
    rates = np.broadcast_to(learning_rate, len(batches))
    for t, (images, labels) in enumerate(batches, 1):
        cross_entropy, gradient, _ = gradients(network, parameters, images, labels, label_smoothing)
        cross_entropies.append(cross_entropy)
        rate = rates[t - 1] * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for name, g in gradient.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            parameters[name] -= rate * first[name] / (np.sqrt(second[name]) + 1e-8)
    return cross_entropies, parameters, first, second
