"""PyTorch: the program as .pt2, or the parameters alone as .pt or .safetensors, in PyTorch's names and layout."""

import contextlib
import io
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from backends._torch import pool
from lenet.architecture import Conv
from lenet.errors import UserError
from lenet.network import ConvLayer, Network
from lenet.settings import Settings
from lenet.use.formats import answers, literal, shape

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
LEAST = {"relu": 0.0, "sigmoid": 0.0, "tanh": -1.0}  # what an activation never falls below, so padding is no maximum

Layer = tuple[str, type[nn.Module], tuple[Any, ...], dict[str, Any]]  # name, class, arguments, keyword arguments

PROGRAM = """\
import numpy as np
import torch

program = torch.export.load({name}).module()
logits, probabilities = program(torch.from_numpy(np.load("images.npy")))  # uint8 {shape}
{answers}
"""
PARAMETERS = """\
from collections import OrderedDict

import numpy as np
{imports}
from torch import nn

model = nn.Sequential(OrderedDict({layers}
))
model.load_state_dict({load})
images = torch.from_numpy(np.load("images.npy"))  # uint8 {shape}
{answers}
"""


class SamePool(nn.Module):
    """A pool with SAME padding for which PyTorch has no layer."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return pool(x, self.conv)


class Program(nn.Module):
    """Images uint8 [n, height, width] or [n, height, width, 3] -> logits and probabilities [n, classes]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        modules = {name: kind(*arguments, **options) for name, kind, arguments, options in _layers(network)}
        self.layers = nn.Sequential(OrderedDict(modules)).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        channels_first = images.unsqueeze(1) if images.ndim == 3 else images.movedim(3, 1)
        logits = self.layers(channels_first.float() / 255)
        return logits, logits.softmax(1)


def loading(path: Path, settings: Settings) -> str:
    """Return the lines that load the file."""
    if path.suffix == ".pt2":
        numbers = answers(settings, "probabilities.argmax(dim=1).tolist()")
        return PROGRAM.format(name=literal(path), shape=shape(settings), answers=numbers)
    if path.suffix == ".pt":
        imports, load = "import torch", f"torch.load({literal(path)}, weights_only=True)"
    else:
        imports, load = "import safetensors.torch\nimport torch", f"safetensors.torch.load_file({literal(path)})"
    layers = "".join(f"\n    {layer[0]}={_source(layer)}," for layer in _layers(settings.network))
    channels_first = "images.unsqueeze(1)" if settings.data.image_shape[2] == 1 else "images.movedim(3, 1)"
    numbers = answers(settings, f"model({channels_first} / 255).argmax(dim=1).tolist()")
    return PARAMETERS.format(imports=imports, load=load, layers=layers, shape=shape(settings), answers=numbers)


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file."""
    network = settings.network
    state = _state(network, parameters)
    if path.suffix == ".pt2":
        program = Program(network)
        program.layers.load_state_dict(state)
        example = _batch(np.zeros((2, *network.image_shape), np.uint8))
        with _default_precision():
            exported = torch.export.export(program.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("n")},))
        _save(torch.export.save, exported, path)
        return
    if any(kind is SamePool for _, kind, *_ in _layers(network)):
        raise UserError(
            "this config pads its average-pools, and PyTorch has no layer for that; export as .pt2 or .onnx"
        )
    if path.suffix == ".pt":
        _save(torch.save, state, path)
    else:
        classes = {"classes": json.dumps(settings.data.classes)}
        path.write_bytes(safetensors.torch.save(state, classes))  # save_file would hide it from other users


@contextlib.contextmanager
def _default_precision() -> Iterator[None]:
    """Have float32 as exact as PyTorch has it by itself: torch.export refuses "ieee", which a backend sets."""
    of: Any = torch.backends
    defaults = {of: "none", of.cudnn.conv: "tf32", of.cudnn.rnn: "tf32"}
    before = {kind: kind.fp32_precision for kind in defaults}
    try:
        for kind, precision in defaults.items():
            kind.fp32_precision = precision
        yield
    finally:
        for kind, precision in before.items():
            kind.fp32_precision = precision


def _save(save: Callable[[Any, IO[bytes]], None], what: Any, path: Path) -> None:
    """Write a file ourselves: on a full disk PyTorch would abort."""
    buffer = io.BytesIO()
    save(what, buffer)
    path.write_bytes(buffer.getbuffer())


def logits(path: Path, settings: Settings, images: np.ndarray) -> np.ndarray:
    """Images uint8 [n, height, width, channels] -> logits [n, classes]."""
    batch = _batch(images)
    with torch.inference_mode():
        if path.suffix == ".pt2":
            result = torch.export.load(path).module()(batch)[0]
        else:
            program = Program(settings.network)
            state = torch.load(path, weights_only=True) if path.suffix == ".pt" else safetensors.torch.load_file(path)
            program.layers.load_state_dict(state)
            result = program(batch)[0]
    return np.asarray(result)


def _batch(images: np.ndarray) -> Tensor:
    """Return images as the files take them: without the axis of one channel."""
    return torch.from_numpy(images[..., 0] if images.shape[3] == 1 else images)


def _state(network: Network, parameters: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return a state_dict: conv1.weight [out, in, height, width], ..., dense1.weight [out, in], ..., output.bias."""
    channels_first = {}
    for name, array in parameters.items():
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            if name == f"{network.dense_layers[0].name}/kernel":  # its inputs are [height, width, channels]
                array = array.reshape(*network.conv_layers[-1].output, -1).transpose(2, 0, 1, 3)
                array = array.reshape(-1, array.shape[-1])
            array = array.T
        name = name.replace("/kernel", ".weight").replace("/bias", ".bias")
        channels_first[name] = torch.from_numpy(np.ascontiguousarray(array))
    return channels_first


def _source(layer: Layer) -> str:
    _, kind, arguments, options = layer
    texts = [*map(repr, arguments), *(f"{key}={value!r}" for key, value in options.items())]
    return f"nn.{kind.__name__}({', '.join(texts)})".replace("'", '"')


def _layers(network: Network) -> Iterator[Layer]:
    """Yield the layers of an nn.Sequential: [n, channels, height, width] -> [n, classes]."""
    kind = network.architecture.activation
    activation = ACTIVATIONS[kind]
    for i, layer in enumerate(network.conv_layers, 1):
        kernel, _, inputs, outputs = layer.kernel
        yield layer.name, nn.Conv2d, (inputs, outputs, kernel), {"padding": layer.conv.padding}
        yield f"activation{i}", activation, (), {}
        yield from _pool_layers(i, layer, LEAST[kind])
    yield "flatten", nn.Flatten, (), {}
    *hidden, output = network.dense_layers
    for i, dense in enumerate(hidden, len(network.conv_layers) + 1):
        yield dense.name, nn.Linear, dense.kernel, {}
        yield f"activation{i}", activation, (), {}
    yield output.name, nn.Linear, output.kernel, {}


def _pool_layers(i: int, layer: ConvLayer, least: float) -> Iterator[Layer]:
    """Yield the layers that pool with SAME padding."""
    window, stride = layer.conv.pool_window, layer.conv.pool_stride
    (top, bottom), (left, right) = map(layer.conv.pool_padding, layer.convolved[:2])
    padded = bottom or right
    if padded and layer.conv.pool == "average":
        yield f"pool{i}", SamePool, (layer.conv,), {}
        return
    if padded:
        yield f"padding{i}", nn.ConstantPad2d, ((left, right, top, bottom), least), {}
    yield f"pool{i}", nn.MaxPool2d if layer.conv.pool == "max" else nn.AvgPool2d, (window, stride), {}
