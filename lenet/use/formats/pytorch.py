"""PyTorch: the program as .pt2, or the parameters alone as .pt or .safetensors, in PyTorch's names and layout."""

import contextlib
import io
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from backends._torch import pool
from lenet.architecture import IMAGE_SIZE, Architecture, Conv, ConvLayer
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.use.formats import literal
from lenet.use.forward import same_padding

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
LEAST = {"relu": 0.0, "sigmoid": 0.0, "tanh": -1.0}  # what an activation never falls below, so padding is no maximum

Layer = tuple[str, type[nn.Module], tuple[Any, ...], dict[str, Any]]  # name, class, arguments, keyword arguments

PROGRAM = """\
import numpy as np
import torch

program = torch.export.load({name}).module()
logits, probabilities = program(torch.from_numpy(np.load("images.npy")))  # uint8 [n, 28, 28]
print(probabilities.argmax(dim=1).tolist())
"""
PARAMETERS = """\
from collections import OrderedDict

import numpy as np
{imports}
from torch import nn

model = nn.Sequential(OrderedDict({layers}
))
model.load_state_dict({load})
images = torch.from_numpy(np.load("images.npy"))  # uint8 [n, 28, 28]
print(model(images.unsqueeze(1) / 255).argmax(dim=1).tolist())
"""


class SamePool(nn.Module):
    """A pool with SAME padding for which PyTorch has no layer."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return pool(x, self.conv)


class Program(nn.Module):
    """Images uint8 [n, 28, 28] -> logits and probabilities [n, 10]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        modules = {name: kind(*arguments, **options) for name, kind, arguments, options in _layers(architecture)}
        self.layers = nn.Sequential(OrderedDict(modules)).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        logits = self.layers(images.unsqueeze(1).float() / 255)
        return logits, logits.softmax(1)


def loading(path: Path, settings: Settings) -> str:
    """Return the lines that load the file."""
    if path.suffix == ".pt2":
        return PROGRAM.format(name=literal(path))
    if path.suffix == ".pt":
        imports, load = "import torch", f"torch.load({literal(path)}, weights_only=True)"
    else:
        imports, load = "import safetensors.torch\nimport torch", f"safetensors.torch.load_file({literal(path)})"
    layers = "".join(f"\n    {layer[0]}={_source(layer)}," for layer in _layers(settings.architecture))
    return PARAMETERS.format(imports=imports, load=load, layers=layers)


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file."""
    architecture = settings.architecture
    state = _state(architecture, parameters)
    if path.suffix == ".pt2":
        program = Program(architecture)
        program.layers.load_state_dict(state)
        example = torch.zeros(2, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8)
        with _default_precision():
            exported = torch.export.export(program.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("n")},))
        _save(torch.export.save, exported, path)
        return
    if any(kind is SamePool for _, kind, *_ in _layers(architecture)):
        raise UserError("PyTorch has no layer that pools with such padding; export as .pt2 or .onnx")
    if path.suffix == ".pt":
        _save(torch.save, state, path)
    else:
        path.write_bytes(safetensors.torch.save(state))  # save_file would hide it from other users


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
    """Images uint8 [n, 28, 28] -> logits [n, 10]."""
    batch = torch.from_numpy(images)
    with torch.inference_mode():
        if path.suffix == ".pt2":
            result = torch.export.load(path).module()(batch)[0]
        else:
            program = Program(settings.architecture)
            state = torch.load(path, weights_only=True) if path.suffix == ".pt" else safetensors.torch.load_file(path)
            program.layers.load_state_dict(state)
            result = program(batch)[0]
    return np.asarray(result)


def _state(architecture: Architecture, parameters: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return a state_dict: conv1.weight [out, in, height, width], ..., dense1.weight [out, in], ..., output.bias."""
    channels_first = {}
    for name, array in parameters.items():
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            if name == f"{architecture.dense_layers[0].name}/kernel":  # its inputs are [height, width, channels]
                array = array.reshape(*architecture.conv_layers[-1].output, -1).transpose(2, 0, 1, 3)
                array = array.reshape(-1, array.shape[-1])
            array = array.T
        name = name.replace("/kernel", ".weight").replace("/bias", ".bias")
        channels_first[name] = torch.from_numpy(np.ascontiguousarray(array))
    return channels_first


def _source(layer: Layer) -> str:
    _, kind, arguments, options = layer
    texts = [*map(repr, arguments), *(f"{key}={value!r}" for key, value in options.items())]
    return f"nn.{kind.__name__}({', '.join(texts)})".replace("'", '"')


def _layers(architecture: Architecture) -> Iterator[Layer]:
    """Yield the layers of an nn.Sequential: [n, 1, 28, 28] -> [n, 10]."""
    activation = ACTIVATIONS[architecture.activation]
    for i, layer in enumerate(architecture.conv_layers, 1):
        kernel, _, inputs, outputs = layer.kernel
        yield layer.name, nn.Conv2d, (inputs, outputs, kernel), {"padding": layer.conv.padding}
        yield f"activation{i}", activation, (), {}
        yield from _pool_layers(i, layer, LEAST[architecture.activation])
    yield "flatten", nn.Flatten, (), {}
    *hidden, output = architecture.dense_layers
    for i, dense in enumerate(hidden, len(architecture.conv_layers) + 1):
        yield dense.name, nn.Linear, dense.kernel, {}
        yield f"activation{i}", activation, (), {}
    yield output.name, nn.Linear, output.kernel, {}


def _pool_layers(i: int, layer: ConvLayer, least: float) -> Iterator[Layer]:
    """Yield the layers that pool with SAME padding."""
    window, stride = layer.conv.pool_window, layer.conv.pool_stride
    before, after = same_padding(math.isqrt(layer.positions), window, stride)
    if after and layer.conv.pool == "average":
        yield f"pool{i}", SamePool, (layer.conv,), {}
        return
    if after:
        yield f"padding{i}", nn.ConstantPad2d, ((before, after, before, after), least), {}
    yield f"pool{i}", nn.MaxPool2d if layer.conv.pool == "max" else nn.AvgPool2d, (window, stride), {}
