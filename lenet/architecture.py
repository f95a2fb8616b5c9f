"""A config file -> Architecture: every layer with its shapes, and what training needs to know."""

import dataclasses
import json
import math
import tomllib
import typing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lenet import UserError

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))}
IMAGE_SIZE = 28
CLASSES = 10
CHOICES = {
    "padding": ("same", "valid"),
    "pool": ("max", "average"),
    "activation": ("relu", "sigmoid", "tanh"),
    "initialization": ("truncated_normal", "glorot_uniform"),
}
# Adam as in Kingma & Ba (2015), with the epsilon-hat of the end of their section 2.
BETA1, BETA2, EPSILON_HAT = 0.9, 0.999, 1e-8
PRECISIONS = ("float32", "float64", "bfloat16")
MAXIMUM_PARAMETERS = 100_000_000  # more is a slip of the pen, and would ask for gigabytes


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1, the activation, and a pool, which is padded SAME. The defaults are the report's."""

    filters: int
    kernel: int = 5
    padding: str = "same"
    pool: str = "max"
    pool_window: int = 2
    pool_stride: int = 2


@dataclass(frozen=True)
class Layer:
    """What a layer computes with: its kernel in canonical layout, a bias, and the shapes that one image takes."""

    name: str  # conv1, conv2, ..., dense1, ..., output
    kernel: tuple[int, ...]  # convolution: (height, width, in, out); dense: (in, out)
    positions: int  # where the kernel is applied: height * width of the convolution's output; dense: 1
    output: tuple[int, ...]  # convolution: (height, width, channels) after the pool; dense: (units,)
    conv: Conv | None = None

    @property
    def parameters(self) -> int:
        """The number of the kernel's and the bias's elements."""
        return math.prod(self.kernel) + self.kernel[-1]

    @property
    def multiply_adds(self) -> int:
        """For one image, forward, the bias left out."""
        return self.positions * math.prod(self.kernel)


@dataclass(frozen=True)
class Architecture:
    """The settings of one config, checked: dense layers follow the convolutions, then the output layer of 10.

    Raises ValueError, its text beginning with the key, when a setting or the shape it leads to is impossible.
    """

    conv: tuple[Conv, ...]
    dense: tuple[int, ...]
    activation: str = "relu"
    initialization: str = "truncated_normal"
    batch_size: int = 100
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        settings = {f"conv[{i}].{key}": value for i, conv in enumerate(self.conv) for key, value in vars(conv).items()}
        settings |= {f"dense[{i}]": units for i, units in enumerate(self.dense)}
        settings |= {key: value for key, value in dataclasses.asdict(self).items() if key not in ("conv", "dense")}
        for key, value in settings.items():
            choices = CHOICES.get(key.rpartition(".")[2], ())
            if choices and value not in choices:
                raise ValueError(f"{key}: must be one of {', '.join(choices)}, not '{value}'")
            if not choices and not 0 < value < math.inf:
                raise ValueError(f"{key}: must be positive and finite, not {value}")
            if key.endswith(("kernel", "pool_window", "pool_stride")) and value > IMAGE_SIZE:
                raise ValueError(f"{key}: must be at most {IMAGE_SIZE}, the size of an image, not {value}")
        if not self.conv:
            raise ValueError("conv: at least one convolution is needed")
        if self.parameters > MAXIMUM_PARAMETERS:
            raise ValueError(f"conv, dense: {self.parameters:,} parameters; at most {MAXIMUM_PARAMETERS:,} are allowed")

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with parameters, from the image to the logits."""
        layers = []
        size, channels = IMAGE_SIZE, 1
        for i, conv in enumerate(self.conv):
            kernel = (conv.kernel, conv.kernel, channels, conv.filters)
            if conv.padding == "valid":
                size -= conv.kernel - 1
            if size < 1:
                raise ValueError(f"conv[{i}].kernel: {conv.kernel} is larger than the image that reaches it")
            positions, channels = size * size, conv.filters
            size = math.ceil(size / conv.pool_stride)
            layers.append(Layer(f"conv{i + 1}", kernel, positions, (size, size, channels), conv))
        inputs = size * size * channels  # flattened in the order (height, width, channels)
        for i, units in enumerate((*self.dense, CLASSES)):
            name = "output" if i == len(self.dense) else f"dense{i + 1}"
            layers.append(Layer(name, (inputs, units), 1, (units,)))
            inputs = units
        return tuple(layers)

    @property
    def conv_layers(self) -> tuple[Layer, ...]:
        """The convolutions, from the image on."""
        return self.layers[: len(self.conv)]

    @property
    def dense_layers(self) -> tuple[Layer, ...]:
        """The dense layers that follow them; the last is the output."""
        return self.layers[len(self.conv) :]

    @property
    def parameters(self) -> int:
        """The number of all parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Canonical name -> shape of every parameter: conv1/kernel, conv1/bias, ..., output/bias."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            shapes[f"{layer.name}/kernel"] = layer.kernel
            shapes[f"{layer.name}/bias"] = layer.kernel[-1:]
        return shapes

    @property
    def network(self) -> dict[str, typing.Any]:
        """What two runs must share to compute the same: the parameters' shapes and, by key, the settings."""
        settings = dataclasses.asdict(self)
        del settings["batch_size"], settings["learning_rate"]
        return self.shapes | settings

    def to_toml(self) -> str:
        """Every setting, defaults too, as a config file that reads back as the same Architecture."""
        settings = dataclasses.asdict(self)
        tables = settings.pop("conv")
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        for table in tables:
            lines += ["", "[[conv]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


def load(config: str) -> Architecture:
    """Return the Architecture of the config file by that name."""
    return from_toml(_text(config), str(CONFIGS[config]))


def description(config: str) -> str:
    """What the config changes: the first line of its file, a comment."""
    return _text(config).partition("\n")[0].strip("# ")


def _text(config: str) -> str:
    path = CONFIGS[config]
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def from_toml(text: str, source: str) -> Architecture:
    """Return the Architecture that a config says; UserError names `source` and the key that is wrong."""
    try:
        architecture: Architecture = _read(Architecture, tomllib.loads(text), "")
    except (ValueError, OverflowError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise UserError(f"{source}: {error}") from None
    return architecture


def _read(kind: typing.Any, value: typing.Any, key: str) -> typing.Any:
    """`value` from TOML as `kind`: a dataclass, a tuple of one type, or a plain type, and nothing taken for another."""
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(typing.get_args(kind)[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        fields = {field.name: field for field in dataclasses.fields(kind)}
        prefix = f"{key}." if key else ""
        if unknown := value.keys() - fields.keys():
            raise ValueError(f"{prefix}{min(unknown)}: unknown key; the known ones are {', '.join(fields)}")
        for name, field in fields.items():
            if name not in value and field.default is dataclasses.MISSING:
                raise ValueError(f"{prefix}{name}: missing")
        return typing.cast(type, kind)(**{k: _read(fields[k].type, v, prefix + k) for k, v in value.items()})
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value)
    wanted = {int: "a whole number", float: "a number", str: "a string", Conv: "a table"}.get(kind, "a list")
    raise ValueError(f"{key}: must be {wanted}, not {value!r}")
