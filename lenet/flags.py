"""What argparse lacks: one-line errors, bounds, synonyms, and suggestions for typos."""

import argparse
import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lenet.errors import UserError

OTHER_NAMES = {"--epochs": "--train_num, which counts steps", "--steps": "--train_num"}
OTHER_NAMES |= {"--model": "--config", "--resume": "--load"}


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, like every error of the program."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        raise UserError(f"{message} (python main.py --help lists the flags)")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the flags as arguments of the API; UserError if one is wrong or they do not go together.

        Hyphens in their names are taken for underscores: --log-dir is --log_dir.
        """
        names = [re.sub(r"^--\w[^=]*", lambda flag: "--" + flag[0][2:].replace("-", "_"), word) for word in words]
        flags, unknown = self.parse_known_args(names)
        for word in unknown:
            name = word.partition("=")[0]
            if not name.startswith("-"):
                hint = "; the number of steps goes after --train_num" if word.isdecimal() else ""
                self.error(f"'{word}' is neither a flag nor a flag's value{hint}")
            near = OTHER_NAMES.get(name.lower()) or closest(name, self._option_string_actions)
            self.error(f"there is no flag {name}" + (f"; did you mean {near}?" if near else ""))
        check(flags, self.error)
        return arguments(flags)


def closest(text: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like a text, if one is."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None


def whole_number(minimum: int = 1) -> Callable[[str], int]:
    """Return a flag's type: a whole number from `minimum` on."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {minimum} on")
        return value

    return convert


def file_name(text: str) -> str:
    """Return a flag's path as text, of which the end counts: "model/" is a folder."""
    return f"{path(text)}{'/' if text.endswith(('/', os.sep)) else ''}"


def path(text: str) -> Path:
    """Return a flag's path, which must be text that can be written into a file; ~ is the home folder."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not valid UTF-8; choose another name") from None
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; is a variable of the shell not set?")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # there is no such user
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from None


def size(text: str) -> tuple[int, int]:
    """Return height and width from N or HEIGHTxWIDTH."""
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of pixels, such as 32 or 32x24")
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def choice(names: Sequence[str], synonyms: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return argparse's settings for a flag that takes one of `names`, with "did you mean" for a typo."""

    def convert(text: str) -> str:
        name = (synonyms or {}).get(text.lower(), text.lower())
        if name not in names:
            near = closest(name, names)
            suggestion = f"; did you mean {near}?" if near else ""
            raise argparse.ArgumentTypeError(f"there is no '{text}', only {', '.join(names)}{suggestion}")
        return name

    return {"type": convert, "metavar": "{" + ",".join(names) + "}"}


def key_and_value(text: str) -> tuple[str, str]:
    """Split KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE, such as learning_rate=0.001")
    return key.strip(), value.strip()


def value_of(key: str) -> Callable[[str], tuple[str, str]]:
    """Make a flag's text the value of a key of the config."""
    return lambda text: (key, text)


def check(flags: argparse.Namespace, error: Callable[[str], Any]) -> None:
    """Report flags that do not go together."""
    actions = {"train or --test": flags.train or flags.test, "report": flags.report}
    actions |= {"predict": flags.predict, "export": flags.export, "describe": flags.describe}
    actions |= {"tensorboard": flags.tensorboard}
    asked = [f"--{name}" for name, value in actions.items() if value]
    if not asked:
        *others, last = (f"--{name}" for name in [*actions][1:])
        error(f"nothing to do: add --train --train_num N, or --test, {', '.join(others)} or {last}")
    if flags.report and (flags.train or flags.test or flags.load is not None or flags.seed is not None):
        error("--report trains and tests by itself, from --seeds: leave --train, --test, --load and --seed out")
    if len(asked) > 1:
        error(f"{' and '.join(asked)} do not go together; run them one after the other")
    if flags.tensorboard and any(
        value is not None for name, value in vars(flags).items() if name not in ("tensorboard", "log_dir")
    ):
        error("--tensorboard takes only --log_dir")
    if flags.describe and flags.load is True:
        error("--describe needs the path of a run after --load, or no --load")
    if len(flags.export or []) > 1:
        error("only one --export is allowed; run the command once for each file")
    if flags.export and (flags.device or flags.threads):
        error("--export takes no --device and no --threads")
    if not flags.predict and (flags.json or flags.save_prepared):
        error("--json and --save_prepared need --predict")
    if not flags.train and not flags.report:
        for name, value in (("train_num", flags.steps), ("save_every", flags.save_every), ("log", flags.log)):
            if value is not None:
                error(f"--{name} needs --train or --report")
    for name in ("seeds", "jobs", "cluster", "keep", "dry_run"):
        if getattr(flags, name) is not None and not flags.report:
            error(f"--{name} needs --report")
    if flags.threads and flags.threads > (most := os.cpu_count() or 1) and not flags.cluster:
        error(f"argument --threads: '{flags.threads}' is not a whole number from 1 to {most}")
    if flags.jobs and flags.cluster:
        error("--cluster takes no --jobs: each of its workers trains one run at once")
    if flags.steps == 0 and flags.load is None:
        error("--train_num must be 1 or more; with --load it may be 0, to test a run that was killed before its test")
    if not flags.report and max(len(flags.config or []), len(flags.framework or [])) > 1:
        error("only --report takes several --config or --framework")
    for key, text in flags.changes or []:
        if not flags.report and len(several(text)) > 1:
            error(f"only --report takes several values of a key; {key} has '{text}'")


def arguments(flags: argparse.Namespace) -> argparse.Namespace:
    """Return the flags in the form that the API takes: a run has changes by key, and one config and framework.

    A report has a grid: a list of values by key.
    """
    changes, flags.changes = flags.changes or [], None
    if flags.report:
        flags.grid = {key: [] for key, _ in changes}
        for key, text in changes:
            flags.grid[key] += several(text)
    else:
        flags.changes = dict(changes) or None
        for name in ("config", "framework"):
            setattr(flags, name, (getattr(flags, name) or [None])[0])
    return flags


def several(text: str) -> list[Any]:
    """Return the values of a text that has one or more of them, with commas: 1e-4,3e-4, or [128],[1024]."""
    try:
        values = list(tomllib.loads(f"values = [{text}]")["values"])
    except (ValueError, RecursionError):  # words, say
        values = [word.strip() for word in text.split(",")]
    return values or [text]
