"""LeNet and Adam in plain NumPy, float64: written from the formulas, to be slow and obvious."""

import numpy as np

ACTIVATIONS = {  # name -> (function, its derivative by the function's value)
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(float)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y**2),
}


def convolve(x, kernel):
    """SAME, stride 1: x [n, h, w, c], kernel [k, k, c, f] -> [n, h, w, f]."""
    size = kernel.shape[0]
    before = (size - 1) // 2
    padded = np.pad(x, [(0, 0), (before, size - 1 - before), (before, size - 1 - before), (0, 0)])
    height, width = x.shape[1:3]
    y = np.zeros((*x.shape[:3], kernel.shape[3]))
    for i in range(size):
        for j in range(size):
            y += padded[:, i : i + height, j : j + width] @ kernel[i, j]
    return y


def convolve_backward(x, kernel, dy):
    """The gradients by x and by the kernel."""
    size = kernel.shape[0]
    before = (size - 1) // 2
    padded = np.pad(x, [(0, 0), (before, size - 1 - before), (before, size - 1 - before), (0, 0)])
    height, width = x.shape[1:3]
    dpadded, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(size):
        for j in range(size):
            dkernel[i, j] = np.einsum("nhwc,nhwf->cf", padded[:, i : i + height, j : j + width], dy)
            dpadded[:, i : i + height, j : j + width] += dy @ kernel[i, j].T
    return dpadded[:, before : before + height, before : before + width], dkernel


def pool(x):
    """Max over 2x2, stride 2, an odd last row or column left out; returns the output and where each maximum stood."""
    n, height, width, c = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    windows = x[:, : 2 * height, : 2 * width].reshape(n, height, 2, width, 2, c)
    windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(n, height, width, c, 4)
    winner = windows.argmax(axis=-1)
    return np.take_along_axis(windows, winner[..., None], -1)[..., 0], winner


def pool_backward(shape, winner, dy):
    """The gradient by x: each output's goes to the place of its maximum."""
    dx = np.zeros(shape)
    n, i, j, c = np.indices(winner.shape)
    dx[n, 2 * i + winner // 2, 2 * j + winner % 2, c] = dy
    return dx


def gradients(architecture, parameters, images, labels):
    """Mean softmax cross-entropy of a batch, uint8 [n, 28, 28], and its gradient by every parameter; and the logits."""
    activate, slope = ACTIVATIONS[architecture.activation]
    names = [layer.name for layer in architecture.layers]
    x = images[..., None] / 255
    trail = []
    for name in names[: len(architecture.conv)]:
        z = convolve(x, parameters[f"{name}/kernel"]) + parameters[f"{name}/bias"]
        # The report's order: activation, then pool.
        y, winner = pool(activate(z))
        trail.append((x, z, winner))
        x = y
    flat_shape = x.shape
    x = x.reshape(len(x), -1)
    inputs = []
    for name in names[len(architecture.conv) :]:
        inputs.append(x)
        z = x @ parameters[f"{name}/kernel"] + parameters[f"{name}/bias"]
        x = z if name == "output" else activate(z)
    logits = x
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    cross_entropy = -log_probabilities[np.arange(len(labels)), labels].mean()

    found = {}
    delta = (np.exp(log_probabilities) - np.eye(10)[labels]) / len(labels)
    for name, x in reversed(list(zip(names[len(architecture.conv) :], inputs, strict=True))):
        found[f"{name}/kernel"], found[f"{name}/bias"] = x.T @ delta, delta.sum(axis=0)
        delta = delta @ parameters[f"{name}/kernel"].T
        if name != names[len(architecture.conv)]:
            delta = delta * slope(x)
    delta = delta.reshape(flat_shape)
    for name, (x, z, winner) in reversed(list(zip(names, trail, strict=False))):
        delta = pool_backward(z.shape, winner, delta) * slope(activate(z))
        found[f"{name}/bias"] = delta.sum(axis=(0, 1, 2))
        delta, found[f"{name}/kernel"] = convolve_backward(x, parameters[f"{name}/kernel"], delta)
    return cross_entropy, {name: found[name] for name in parameters}, logits


def train(architecture, parameters, batches):
    """Adam (Kingma & Ba 2015, epsilon-hat form) over batches of (images, labels); returns each step's cross-entropy,
    the last parameters, and the two moments.
    """
    parameters = {name: array.copy() for name, array in parameters.items()}
    first = {name: np.zeros_like(array) for name, array in parameters.items()}
    second = {name: np.zeros_like(array) for name, array in parameters.items()}
    cross_entropies = []
    for t, (images, labels) in enumerate(batches, 1):
        cross_entropy, gradient, _ = gradients(architecture, parameters, images, labels)
        cross_entropies.append(cross_entropy)
        rate = architecture.learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for name, g in gradient.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            parameters[name] -= rate * first[name] / (np.sqrt(second[name]) + 1e-8)
    return cross_entropies, parameters, first, second
