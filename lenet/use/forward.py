"""The forward pass in NumPy alone: what every exported model is compared with."""

from collections.abc import Callable, Mapping

import numpy as np

from lenet.architecture import same_padding
from lenet.network import Network

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 0.5 + 0.5 * np.tanh(x / 2),  # the same, without an overflow
    "tanh": np.tanh,
}


def logits(network: Network, parameters: Mapping[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Images uint8 [n, height, width, channels] -> logits float32 [n, classes], from parameters in canonical layout."""
    activation = ACTIVATIONS[network.architecture.activation]
    weights = {name: array.astype(np.float32) for name, array in parameters.items()}
    x = images.astype(np.float32) / 255
    for layer in network.conv_layers:
        conv, kernel = layer.conv, weights[f"{layer.name}/kernel"]
        windows = _windows(x, conv.kernel, 1, 0.0) if conv.padding == "same" else _valid_windows(x, conv.kernel, 1)
        # [n, height, width, in, row, column] times [row, column, in, out]
        x = activation(np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 2))) + weights[f"{layer.name}/bias"])
        outside = -np.inf if conv.pool == "max" else np.nan
        pools = _windows(x, conv.pool_window, conv.pool_stride, outside)
        x = pools.max(axis=(4, 5)) if conv.pool == "max" else np.nanmean(pools, axis=(4, 5))
        # [n, height, width, channels]; lenet: [n, 14, 14, 32], then [n, 7, 7, 64]
    x = x.reshape(len(x), -1)
    for dense in network.dense_layers:
        x = x @ weights[f"{dense.name}/kernel"] + weights[f"{dense.name}/bias"]
        x = x if dense is network.dense_layers[-1] else activation(x)
    return x


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits [n, classes], in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _windows(x: np.ndarray, size: int, stride: int, outside: float) -> np.ndarray:
    """The windows that SAME padding with the value `outside` gives; the odd pixel goes to the right and the bottom."""
    rows, columns = (same_padding(side, size, stride) for side in x.shape[1:3])
    return _valid_windows(np.pad(x, [(0, 0), rows, columns, (0, 0)], constant_values=outside), size, stride)


def _valid_windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """[n, height, width, channels] -> [n, rows, columns, channels, size, size]."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]
