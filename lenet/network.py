"""Network: an architecture for the images and the classes of a data set, with each layer's shapes and counts."""

import math
from dataclasses import dataclass
from functools import cached_property

from lenet.architecture import Architecture, Conv

MAXIMUM_PARAMETERS = 100_000_000  # more is almost certainly a typo


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with parameters: a kernel in canonical layout and a bias."""

    name: str  # conv1, conv2, ..., dense1, ..., output
    kernel: tuple[int, ...]  # convolution: (height, width, in, out); dense: (in, out)
    output: tuple[int, ...]  # convolution: (height, width, channels) after the pool; dense: (units,)

    @property
    def parameters(self) -> int:
        """The number of elements of the kernel and the bias."""
        return math.prod(self.kernel) + self.kernel[-1]

    @property
    def positions(self) -> int:
        """The number of places to which the kernel is applied."""
        return 1

    @property
    def multiply_adds(self) -> int:
        """For one image, forward, without the bias."""
        return self.positions * math.prod(self.kernel)


@dataclass(frozen=True, kw_only=True)
class ConvLayer(Layer):
    """A convolution, its activation and its pool."""

    conv: Conv
    convolved: tuple[int, int, int]  # (height, width, channels) before the pool

    @property
    def positions(self) -> int:
        """The number of places to which the kernel is applied."""
        return math.prod(self.convolved[:2])


class DenseLayer(Layer):
    """A dense layer; all but the output layer have an activation."""


@dataclass(frozen=True)
class Network:
    """The layers of an architecture, from images of one shape to a unit for each class.

    Raises ValueError, its text beginning with the config's key, if the architecture does not suit the images.
    """

    architecture: Architecture
    image_shape: tuple[int, int, int]  # height, width, channels
    classes: int

    def __post_init__(self) -> None:
        longer = max(self.image_shape[:2])
        for i, conv in enumerate(self.architecture.conv):
            for key, size in conv.sizes.items():
                if size > longer:
                    raise ValueError(f"conv[{i}].{key}: must be at most {longer}, the size of an image, not {size}")
        if self.parameters > MAXIMUM_PARAMETERS:
            raise ValueError(f"conv, dense: {self.parameters:,} parameters; at most {MAXIMUM_PARAMETERS:,} are allowed")

    @cached_property
    def conv_layers(self) -> tuple[ConvLayer, ...]:
        """The convolutions, from the image on."""
        layers: list[ConvLayer] = []
        height, width, channels = self.image_shape
        for i, conv in enumerate(self.architecture.conv):
            kernel = (conv.kernel, conv.kernel, channels, conv.filters)
            if conv.padding == "valid":
                height, width = height - conv.kernel + 1, width - conv.kernel + 1
            if min(height, width) < 1:
                raise ValueError(f"conv[{i}].kernel: {conv.kernel} is larger than the image that reaches it")
            convolved = (height, width, conv.filters)
            height, width = math.ceil(height / conv.pool_stride), math.ceil(width / conv.pool_stride)
            output = height, width, channels = height, width, conv.filters
            name = f"conv{i + 1}"
            layers.append(ConvLayer(name=name, kernel=kernel, output=output, conv=conv, convolved=convolved))
        return tuple(layers)

    @cached_property
    def dense_layers(self) -> tuple[DenseLayer, ...]:
        """The dense layers after the convolutions; the last is the output layer."""
        hidden = self.architecture.dense
        names = [*(f"dense{i + 1}" for i in range(len(hidden))), "output"]
        inputs = (math.prod(self.conv_layers[-1].output), *hidden)  # flattened as (height, width, channels)
        sizes = zip(names, inputs, (*hidden, self.classes), strict=True)
        return tuple(DenseLayer(name=name, kernel=(n, m), output=(m,)) for name, n, m in sizes)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with parameters, from the image to the logits."""
        return self.conv_layers + self.dense_layers

    @property
    def parameters(self) -> int:
        """The number of all parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """For one image, forward, without the biases."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Canonical name -> shape of every parameter: conv1/kernel, conv1/bias, ..., output/bias."""
        return {
            f"{layer.name}/{part}": shape
            for layer in self.layers
            for part, shape in (("kernel", layer.kernel), ("bias", layer.kernel[-1:]))
        }
