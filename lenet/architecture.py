"""Architecture: the layers of a LeNet, their shapes and their counts."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

IMAGE_SIZE = 28
IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 1)  # height, width, channels
CLASSES = 10
MAXIMUM_PARAMETERS = 100_000_000  # more is almost certainly a typo


def require_positive(**values: float) -> None:
    """Raise ValueError with the name of the first value that is not positive and finite."""
    for key, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{key}: must be positive and finite, not {value}")


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1, the activation, and a pool with SAME padding. The defaults are the 2017 report's.

    Raises ValueError, its text beginning with the key, if a value is impossible.
    """

    filters: int
    kernel: int = 5
    padding: Literal["same", "valid"] = "same"
    pool: Literal["max", "average"] = "max"
    pool_window: int = 2
    pool_stride: int = 2

    def __post_init__(self) -> None:
        sizes = {"kernel": self.kernel, "pool_window": self.pool_window, "pool_stride": self.pool_stride}
        require_positive(filters=self.filters, **sizes)
        for key, value in sizes.items():
            if value > IMAGE_SIZE:
                raise ValueError(f"{key}: must be at most {IMAGE_SIZE}, the size of an image, not {value}")


@dataclass(frozen=True)
class Layer:
    """A layer with parameters: a kernel in canonical layout and a bias."""

    name: str  # conv1, conv2, ..., dense1, ..., output
    kernel: tuple[int, ...]  # convolution: (height, width, in, out); dense: (in, out)
    output: tuple[int, ...]  # convolution: (height, width, channels) after the pool; dense: (units,)
    positions: int = field(default=1, kw_only=True)  # to which the kernel is applied

    @property
    def parameters(self) -> int:
        """The number of elements of the kernel and the bias."""
        return math.prod(self.kernel) + self.kernel[-1]

    @property
    def multiply_adds(self) -> int:
        """For one image, forward, without the bias."""
        return self.positions * math.prod(self.kernel)


@dataclass(frozen=True)
class ConvLayer(Layer):
    """A convolution, its activation and its pool."""

    conv: Conv


class DenseLayer(Layer):
    """A dense layer; all but the output layer have an activation."""


@dataclass(frozen=True)
class Architecture:
    """The convolutions, the dense layers after them, and an output layer of 10 units.

    Raises ValueError, its text beginning with the key, if a value or the shape it leads to is impossible.
    """

    conv: tuple[Conv, ...]
    dense: tuple[int, ...]  # the units of each layer
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    initialization: Literal["truncated_normal", "glorot_uniform"] = "truncated_normal"

    def __post_init__(self) -> None:
        if not self.conv:
            raise ValueError("conv: at least one convolution is needed")
        require_positive(**{f"dense[{i}]": units for i, units in enumerate(self.dense)})
        if self.parameters > MAXIMUM_PARAMETERS:
            raise ValueError(f"conv, dense: {self.parameters:,} parameters; at most {MAXIMUM_PARAMETERS:,} are allowed")

    @cached_property
    def conv_layers(self) -> tuple[ConvLayer, ...]:
        """The convolutions, from the image on."""
        layers: list[ConvLayer] = []
        size, channels = IMAGE_SIZE, 1
        for i, conv in enumerate(self.conv):
            kernel = (conv.kernel, conv.kernel, channels, conv.filters)
            if conv.padding == "valid":
                size -= conv.kernel - 1
            if size < 1:
                raise ValueError(f"conv[{i}].kernel: {conv.kernel} is larger than the image that reaches it")
            positions, channels = size * size, conv.filters
            size = math.ceil(size / conv.pool_stride)
            layers.append(ConvLayer(f"conv{i + 1}", kernel, (size, size, channels), conv, positions=positions))
        return tuple(layers)

    @cached_property
    def dense_layers(self) -> tuple[DenseLayer, ...]:
        """The dense layers after the convolutions; the last is the output layer."""
        names = [*(f"dense{i + 1}" for i in range(len(self.dense))), "output"]
        units = (*self.dense, CLASSES)
        inputs = (math.prod(self.conv_layers[-1].output), *self.dense)  # flattened as (height, width, channels)
        return tuple(DenseLayer(name, (n, m), (m,)) for name, n, m in zip(names, inputs, units, strict=True))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with parameters, from the image to the logits."""
        return self.conv_layers + self.dense_layers

    @property
    def parameters(self) -> int:
        """The number of all parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Canonical name -> shape of every parameter: conv1/kernel, conv1/bias, ..., output/bias."""
        return {
            f"{layer.name}/{part}": shape
            for layer in self.layers
            for part, shape in (("kernel", layer.kernel), ("bias", layer.kernel[-1:]))
        }
