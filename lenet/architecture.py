"""Architecture: what a config says of the layers, whatever data they are built for."""

import math
from dataclasses import dataclass
from typing import Literal


def require_positive(**values: float) -> None:
    """Raise ValueError with the name of the first value that is not positive and finite."""
    for key, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{key}: must be positive and finite, not {value}")


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return how many pixels SAME padding adds before and after a side, as TensorFlow and Keras define it."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + window - size)
    return total // 2, total - total // 2


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
        require_positive(filters=self.filters, **self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """Key -> the number of pixels along a side."""
        return {"kernel": self.kernel, "pool_window": self.pool_window, "pool_stride": self.pool_stride}

    def pool_padding(self, size: int) -> tuple[int, int]:
        """Return how many pixels the pool's padding adds before and after a side."""
        return same_padding(size, self.pool_window, self.pool_stride)


@dataclass(frozen=True)
class Architecture:
    """The convolutions, and the dense layers between them and the output layer.

    Raises ValueError, its text beginning with the key, if a value is impossible.
    """

    conv: tuple[Conv, ...]
    dense: tuple[int, ...]  # the units of each layer
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    initialization: Literal["truncated_normal", "glorot_uniform"] = "truncated_normal"

    def __post_init__(self) -> None:
        if not self.conv:
            raise ValueError("conv: at least one convolution is needed")
        require_positive(**{f"dense[{i}]": units for i, units in enumerate(self.dense)})
