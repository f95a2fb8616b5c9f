"""SAME pooling and the paper's Adam in PyTorch, which has neither."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adam import adam

from lenet.architecture import Conv
from lenet.backend import BETA1, BETA2, EPSILON_HAT

# PyTorch warns that it pads an even kernel with a copy; that is what SAME means.
warnings.filterwarnings("ignore", "Using padding='same' with even kernel")

Tensors = list[Tensor]


def pool(x: Tensor, conv: Conv) -> Tensor:
    """Pool with SAME padding as TensorFlow and Keras define it: it never is the maximum, and no average counts it."""
    window, stride = conv.pool_window, conv.pool_stride
    height, width = x.shape[-2:]
    padding = [*conv.pool_padding(width), *conv.pool_padding(height)]
    if not any(padding):
        return (F.max_pool2d if conv.pool == "max" else F.avg_pool2d)(x, window, stride)
    if conv.pool == "max":
        return F.max_pool2d(F.pad(x, padding, value=-math.inf), window, stride)
    counted = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), padding), window, stride)
    return F.avg_pool2d(F.pad(x, padding), window, stride) / counted


@torch.no_grad()
def adam_step(
    step: int, learning_rate: float, infinity: Tensor, parameters: Tensors, first: Tensors, second: Tensors
) -> None:
    """Make Adam's step number `step` (from 1) with torch.optim.Adam's own function: the class loads a compiler."""
    # The paper's epsilon-hat is added before the bias correction, PyTorch's epsilon after it. So the correction is in
    # the rate, and PyTorch, at step infinity, makes none.
    rate = learning_rate * math.sqrt(1 - BETA2**step) / (1 - BETA1**step)
    adam(
        parameters,
        [parameter.grad for parameter in parameters],  # type: ignore[misc]  # backward gave each of them one
        first,
        second,
        [],
        [infinity] * len(parameters),
        fused=True,
        lr=rate,
        beta1=BETA1,
        beta2=BETA2,
        eps=EPSILON_HAT,
        weight_decay=0,
        amsgrad=False,
        maximize=False,
    )
