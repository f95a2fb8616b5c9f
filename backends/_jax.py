"""SAME pooling in JAX: its own, a window's reduction, has a slow gradient on a processor."""

import functools

import jax.numpy as jnp
from jax import Array

from lenet.architecture import Conv


def pool(x: Array, conv: Conv) -> Array:
    """Pool x [n, height, width, channels] with SAME padding, which never is the maximum and which no average counts.

    Of equal maxima the first takes the gradient, as in the other frameworks.
    """
    if conv.pool == "max":
        return functools.reduce(lambda a, b: jnp.where(a >= b, a, b), _views(x, conv, -jnp.inf))
    return sum(_views(x, conv, 0)) / sum(_views(jnp.ones_like(x[:1, :, :, :1]), conv, 0))


def _views(x: Array, conv: Conv, filler: float) -> list[Array]:
    """Return, for each place in the window, the pixels that the windows have there."""
    sides = x.shape[1:3]
    x = jnp.pad(x, [(0, 0), *map(conv.pool_padding, sides), (0, 0)], constant_values=filler)
    height, width = ((-(-side // conv.pool_stride) - 1) * conv.pool_stride + 1 for side in sides)
    return [
        x[:, row : row + height : conv.pool_stride, column : column + width : conv.pool_stride]
        for row in range(conv.pool_window)
        for column in range(conv.pool_window)
    ]
