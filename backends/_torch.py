"""What PyTorch lacks: SAME pooling, Adam with epsilon-hat, and a dense layer that is fast on every processor."""

import math
import warnings
from typing import Any

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


class OneDNNLinear(torch.autograd.Function):
    """nn.functional.linear in float32 by oneDNN, where PyTorch takes MKL: a fifth of a step faster on AMD's processors.

    PyTorch's own layers copy each operand for oneDNN, and each result back; its compiler's kernel, used here, does not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        # oneDNN sums the bias while it makes the kernel's gradient, here of one column; Tensor.sum rounds otherwise.
        column = upstream.to_mkldnn(), x[:, :1].to_mkldnn(), weight[:, :1]
        _, of_bias = torch.ops.aten.mkldnn_linear_backward_weights(*column, bias_defined=True)
        return _product(upstream, weight.T), _product(upstream.T, x.T), of_bias


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x [n, in] times the transposed weight [out, in], plus the bias -> [n, out]."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


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
