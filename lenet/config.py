"""Config: a TOML file in configs/, or anywhere, with an architecture and how it is trained."""

import dataclasses
import difflib
import hashlib
import itertools
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lenet.architecture import Architecture
from lenet.errors import UserError
from lenet.training import Training

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))}
SECTIONS = (Architecture, Training)  # a config has the keys of both, side by side
KINDS = {int: "a whole number", float: "a number", str: "a string"}


@dataclass(frozen=True)
class Config:
    """A config's own values, under its name."""

    name: str
    architecture: Architecture
    training: Training
    description: str = field(default="", compare=False)
    reported_accuracy: float | None = field(default=None, compare=False)  # of the 2017 report, from 0 to 1

    def __post_init__(self) -> None:
        require_name(self.name)


def require_name(name: str) -> None:
    """Raise ValueError for a name that cannot be part of a folder's name on every system."""
    if not re.fullmatch(r"\w[\w.~-]*", name) or not name.isprintable():
        raise ValueError(f"name: must be of letters, digits and .~_-, not {name!r}")


def load(config: str | Path) -> Config:
    """Read the config of a name, or of a path to a TOML file; UserError names the file and the key that is wrong."""
    text = str(config)
    if not text.endswith(".toml") and Path(text).name == text and text not in CONFIGS:
        known = f"only {', '.join(CONFIGS)} or a path to a .toml file"
        raise UserError(f"there is no config '{text}', {known}{_suggestion(text)}")
    path = CONFIGS.get(text, Path(text))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        description = read(str, values.pop("description", ""), "description")
        reported = read(float | None, values.pop("reported_accuracy", None), "reported_accuracy")
        architecture, training = sections(values)
        ours = path.resolve() in (known.resolve() for known in CONFIGS.values())
        name = path.stem if ours else name_by_content(path.stem, to_toml(architecture, training))
        return Config(name, architecture, training, description, reported)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}{_suggestion(path.stem)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except (ValueError, OverflowError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise UserError(f"{path}: {error}") from None


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, CONFIGS, 1)
    return f"; did you mean {near[0]}?" if near else ""


def without_schedule() -> list[str]:
    """Return the names of the configs that can be trained for any number of steps."""
    return [name for name in CONFIGS if not load(name).training.decay_steps]


def name_by_content(name: str, content: str) -> str:
    """Return a name for what was given by path: the file's, and six digits of its content's SHA-256."""
    plain = re.sub(r"[^\w.-]", "_", name).lstrip(".-") or "_"
    return f"{plain}~{hashlib.sha256(content.encode()).hexdigest()[:6]}"


def change(architecture: Architecture, training: Training, changes: Mapping[str, Any]) -> tuple[Architecture, Training]:
    """Return both with new values by key: `dense`, `learning_rate`, `conv[1].kernel` (or `conv.1.kernel`).

    A text is read as TOML where it is some, else as a string. UserError names the key that is wrong.
    """
    values = dataclasses.asdict(architecture) | dataclasses.asdict(training)
    values |= {"conv": list(values["conv"]), "dense": list(values["dense"])}
    for key, value in changes.items():
        *words, last = re.findall(r"[^.\[\]]+", key) or [key]
        table: Any = values
        try:
            for word in words:
                table = table[_index(table, word)]
            table[_index(table, last)] = _from_toml(value) if isinstance(value, str) else value
        except (LookupError, TypeError, ValueError):
            convs = ", ".join(f"conv[{i}]" for i in range(len(values["conv"])))
            text = f"{key}: the config has no such key; it has {', '.join(_keys())}; its convolutions are {convs}"
            raise UserError(text) from None
    try:
        return sections(values)
    except (ValueError, OverflowError, RecursionError) as error:
        raise UserError(str(error)) from None


def grid(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the changes of every combination of the values by key; UserError for a key without a value."""
    by_key: dict[str, list[Any]] = {}
    for key, of_key in values.items():
        if not of_key:
            raise UserError(f"{key}: has no value")
        by_key.setdefault(re.sub(r"\.(\d+)", r"[\1]", key), []).extend(of_key)  # as a run's settings name it
    return [dict(zip(by_key, combination, strict=True)) for combination in itertools.product(*by_key.values())]


def _index(table: Any, word: str) -> Any:
    return [str(i) for i in range(len(table))].index(word) if isinstance(table, list) else word


def _from_toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        pass
    try:
        return float(text)  # .001, which is none in TOML
    except ValueError:
        return text


def sections(values: Mapping[str, Any]) -> tuple[Architecture, Training]:
    """Read the keys of a config; ValueError begins with the one that is wrong."""
    names = {kind: {item.name for item in dataclasses.fields(kind)} for kind in SECTIONS}
    if unknown := values.keys() - set.union(*names.values()):
        raise ValueError(f"{min(unknown)}: unknown key; the known ones are {', '.join(_keys())}")
    architecture, training = (
        read(kind, {key: value for key, value in values.items() if key in names[kind]}) for kind in SECTIONS
    )
    return architecture, training


def _keys() -> list[str]:
    return [item.name for kind in SECTIONS for item in dataclasses.fields(kind)]


def read(kind: Any, value: Any, key: str = "") -> Any:
    """Return a value from TOML or JSON as `kind`, without conversions; ValueError begins with the key that is wrong.

    `kind` is a dataclass, a tuple of one type, a Literal, an optional type or a plain type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else read(arguments[0], value, key)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{key}: must be one of {', '.join(arguments)}, not {value!r}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(read(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _read_dataclass(kind, value, f"{key}." if key else "")
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value)
    wanted = KINDS.get(kind, "a list" if origin is tuple else "a table")
    raise ValueError(f"{key}: must be {wanted}, not {value!r}")


def _read_dataclass(kind: Any, value: dict[str, Any], prefix: str) -> Any:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    if unknown := value.keys() - fields.keys():
        raise ValueError(f"{prefix}{min(unknown)}: unknown key; the known ones are {', '.join(fields)}")
    for name, item in fields.items():
        if name not in value and item.default is dataclasses.MISSING:
            raise ValueError(f"{prefix}{name}: missing")
    arguments = {name: read(fields[name].type, item, prefix + name) for name, item in value.items()}
    try:
        return kind(**arguments)
    except ValueError as error:  # begins with a key of this dataclass
        raise ValueError(f"{prefix}{error}") from None


def to_toml(architecture: Architecture, training: Training) -> str:
    """Return every value, defaults too, as a config file that reads back as the same; what is 0 is left out."""
    values = dataclasses.asdict(architecture) | dataclasses.asdict(training)
    tables = values.pop("conv")
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value != 0]
    for table in tables:
        lines += ["", "[[conv]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
