"""Settings: all that decides a run's numbers but the framework, and the name that follows from it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from lenet import config as config_file
from lenet.architecture import Architecture
from lenet.config import Config, read
from lenet.dataset import MNIST, DatasetInfo
from lenet.errors import UserError
from lenet.network import Network
from lenet.system.machine import Precision
from lenet.training import Training

MAXIMUM_NAME_BYTES = 100  # on Windows a whole path has 260 at most


@dataclass(frozen=True)
class Settings:
    """What a run is trained with. Two runs with equal Settings, in one framework, compute the same numbers."""

    architecture: Architecture
    training: Training
    data: DatasetInfo
    precision: Precision
    seed: int
    config: Config  # with its own values, from which the others may differ
    validation: int = MNIST.validation_size  # training images that are held out

    def __post_init__(self) -> None:
        read(Precision, self.precision, "precision")
        _ = self.network  # ValueError if there is none
        if self.training.shift >= (side := min(self.data.image_shape[:2])):
            raise ValueError(f"shift: must be less than the images' side, {side}, not {self.training.shift}")
        for key in ("seed", "validation"):
            read(int, getattr(self, key), key)
        if self.validation < 1:
            raise ValueError(f"validation: must be 1 or more, not {self.validation}")
        if self.seed < 0:
            raise ValueError(f"seed: must be 0 or more, not {self.seed}")

    @classmethod
    def of(cls, config: Config, data: DatasetInfo, changes: Mapping[str, Any] | None = None, **given: Any) -> Self:
        """Return a config's own settings, changed as by `changed`; UserError if they do not suit the data."""
        architecture, training = config_file.change(config.architecture, config.training, changes or {})
        values: dict[str, Any] = {"precision": "float32", "seed": 0, "validation": data.validation_size}
        values |= {key: value for key, value in given.items() if value is not None}
        try:
            return cls(architecture, training, data, config=config, **values)
        except ValueError as error:
            raise UserError(f"config {config.name} on {data.name}: {error}") from None

    @cached_property
    def network(self) -> Network:
        """The layers with their shapes."""
        height, width, channels = self.data.image_shape
        return Network(self.architecture, (height, width, channels), len(self.data.classes))

    def on(self, data: DatasetInfo) -> Self:
        """Return the same on other data; where the default number of images is held out, that data's default."""
        default = self.validation == self.data.validation_size
        return dataclasses.replace(self, data=data, validation=data.validation_size if default else self.validation)

    def changed(self, changes: Mapping[str, Any] | None, **given: Any) -> Self:
        """Return these with new values by key of the config, and with each other value that is not None; UserError."""
        architecture, training = config_file.change(self.architecture, self.training, changes or {})
        given = {key: value for key, value in given.items() if value is not None}
        try:
            return dataclasses.replace(self, architecture=architecture, training=training, **given)
        except ValueError as error:
            raise UserError(str(error)) from None

    def last_step(self, wanted: int | None) -> int:
        """Return the step at which a run ends: at the end of its schedule, or else after `wanted` steps; UserError."""
        if not (last := self.training.decay_steps or wanted):
            raise UserError(
                "the number of steps is missing; add --train_num N (only a config with decay_steps has a default)"
            )
        return last

    @cached_property
    def variant(self) -> str:
        """The config's name and, after commas, what differs from its own values, from MNIST and from float32."""
        own = flat(self.config.architecture, self.config.training) | {"data": MNIST.name, "precision": "float32"}
        mine = self._values()
        if len(self.architecture.conv) != len(self.config.architecture.conv):  # one change, not one a key
            mine = {key: value for key, value in mine.items() if not key.startswith("conv[")}
            mine["conv"] = dataclasses.asdict(self.architecture)["conv"]
        changes = [f"{key}={to_text(value)}" for key, value in mine.items() if own.get(key) != value]
        name = ",".join([self.config.name, *changes])
        if len(name.encode()) <= MAXIMUM_NAME_BYTES:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        return f"{name.encode()[: MAXIMUM_NAME_BYTES - 7].decode(errors='ignore')}~{digest}"

    def difference(self, wanted: "Settings") -> str:
        """Name the first key with another value in `wanted`, and both values; empty if there is none."""
        return difference(self._all(), wanted._all())

    def _values(self) -> dict[str, Any]:
        values = flat(self.architecture, self.training) | {"data": self.data.name, "precision": self.precision}
        return values if self.validation == self.data.validation_size else values | {"validation": self.validation}

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by its key."""
        sha256 = f"{self.data.training_sha256}, {self.data.test_sha256}"
        more = {"data's SHA-256": sha256, "seed": self.seed, "config": self.config.name}
        return self._values() | {"validation": self.validation} | more

    def _all(self) -> dict[str, Any]:
        own = flat(self.config.architecture, self.config.training)
        return self.values | {f"{key} in the config": value for key, value in own.items()}


def flat(*parts: Any) -> dict[str, Any]:
    """Return the values of dataclasses by key, as --set takes them: conv[0].filters, ..., dense, ..., learning_rate."""
    values: dict[str, Any] = {}
    for part in parts:
        for key, value in dataclasses.asdict(part).items():
            if key == "conv":
                values |= {f"conv[{i}].{name}": item for i, conv in enumerate(value) for name, item in conv.items()}
            else:
                values[key] = value
    return values


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Name the first key with another value, and both values; empty if there is none."""
    for key in {**wanted, **found}:
        if found.get(key) != wanted.get(key):
            there, here = (to_text(values[key]) if key in values else "missing" for values in (found, wanted))
            return f"{key} is {there} in the saved run, but {here} is asked for"
    return ""


def to_text(value: Any) -> str:
    """A value as TOML without spaces and quotes, which a folder's name on Windows cannot have."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}={to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_text, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
