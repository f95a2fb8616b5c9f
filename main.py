"""LeNet on MNIST in TensorFlow, PyTorch or Keras: the same parameters, batches and Adam in all three."""

import argparse
import contextlib
import difflib
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lenet import UserError

# What needs NumPy is imported where it is used, so that --help and a mistyped flag are answered at once.
if TYPE_CHECKING:
    from lenet.backend import Backend
    from lenet.checkpoint import Checkpoint
    from lenet.dataset import Dataset

HERE = Path(__file__).parent
FRAMEWORKS = sorted(path.stem for path in HERE.glob("backends/[!_]*.py"))
CONFIGS = sorted(path.stem for path in HERE.glob("configs/*.toml"))


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the flags say and return the exit code."""
    try:
        print(run(parse(argv)))
    except UserError as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("main.py: interrupted", file=sys.stderr)
        return 130
    return 0


def run(flags: argparse.Namespace) -> str:
    """Flags -> Trainer -> the result line."""
    from lenet import dataset
    from lenet.run import Run
    from lenet.trainer import Trainer

    data = dataset.load(flags.data_dir or dataset.EMBEDDED)
    source, start = starting_point(flags, data)
    if flags.train and start.architecture.batch_size > len(data.train.images):
        raise UserError(
            f"batch size {start.architecture.batch_size}: there are {len(data.train.images)} training images"
        )
    backend = load_backend(flags.framework)(
        start.architecture, start.precision, flags.device, flags.threads or physical_cores()
    )
    trainer = Trainer(backend, data, start)
    place = Run(flags.log_dir, flags.config, flags.framework, start.seed)
    if flags.train:
        continued = source is not None and source.resolve() == place.checkpoint.resolve()
        if aside := place.start(continued):
            notice(f"the run that lay in {place.folder} lies in {aside} now")
        result = trainer.train(flags.train_num, place)
    else:
        result = trainer.test(place)
    return (
        f"{flags.config} {flags.framework} seed {start.seed} step {result['step']}: "
        f"test accuracy {100 * result['test_accuracy']:.2f} %, cross-entropy {result['test_cross_entropy']:.4f}, "
        f"{result['images_per_second']:,.0f} images/s, {place.folder if flags.train else source}"
    )


def starting_point(flags: argparse.Namespace, data: "Dataset") -> "tuple[Path | None, Checkpoint]":
    """The checkpoint to go on from and its file; None for a fresh one."""
    from lenet.architecture import from_toml
    from lenet.checkpoint import Checkpoint
    from lenet.run import Run

    def given(*names: str) -> dict[str, Any]:
        return {name: vars(flags)[name] for name in names if vars(flags)[name] is not None}

    path = HERE / "configs" / f"{flags.config}.toml"
    config = from_toml(path.read_text(encoding="utf-8"), str(path))
    if flags.train and flags.load is None:
        config = replace(config, **given("batch_size", "learning_rate"))
        return None, Checkpoint.initial(config, data.training_sha256, **given("seed", "precision"))
    source: Path = flags.load or Run(flags.log_dir, flags.config, flags.framework, flags.seed or 0).checkpoint
    if source.is_dir():
        source /= Run.CHECKPOINT
    found = Checkpoint.load(source)
    found.refuse_other(config, source)
    if flags.train and found.training_sha256 != data.training_sha256:
        notice(f"{source} was trained on other data than what lies in {flags.data_dir or 'the project (MNIST)'}")
    config = replace(found.architecture, **given("batch_size", "learning_rate"))
    return source, replace(
        found, architecture=config, training_sha256=data.training_sha256, **given("seed", "precision")
    )


def load_backend(framework: str) -> "type[Backend]":
    """Import one framework and what is written for it; UserError when it is not installed."""
    try:
        with silenced_stderr():
            backend: type[Backend] = importlib.import_module(f"backends.{framework}").LeNet
    except ImportError as error:
        raise UserError(f"{framework} cannot be imported ({error}); pip install -r requirements.txt") from None
    return backend


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """While it is imported, a framework's C++ code may write to file descriptor 2, whatever its log level is."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def physical_cores() -> int:
    """The physical cores that the process may use: hyper-threads share the units that matrix products keep busy."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    return len({path.read_text() if path.exists() else path for path in siblings})


def notice(text: str) -> None:
    """Say what the user should know, apart from the result."""
    print(f"main.py: notice: {text}", file=sys.stderr)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the flags' values; UserError when one is wrong or they do not go together."""
    parser = Parser("main.py", description=__doc__, allow_abbrev=False)
    flag = parser.add_argument
    flag("-t", "--train", action="store_true", help="train for --train_num steps, test, and save")
    flag("-e", "--test", action="store_true", help="test the checkpoint that --load names, or else this run's own")
    flag(
        *("-l", "--load"),
        nargs="?",
        const=False,
        type=Path,
        metavar="CHECKPOINT",
        help="continue a checkpoint (a file or a run's folder, whichever framework wrote it); without a value, the run "
        "of this config, framework and seed in the log folder (default: begin anew)",
    )
    flag("--train_num", type=number(int), metavar="N", help="steps to make, a mini-batch each; with --load, to add")
    flag("--framework", **one_of(FRAMEWORKS), default="pytorch", help="(default: pytorch)")
    flag("--config", **one_of(CONFIGS), default="lenet", help="a file in configs/ (default: lenet)")
    flag("--log_dir", type=Path, default="logs", metavar="FOLDER", help="where the runs lie (default: logs)")
    flag(
        "--data_dir", type=Path, metavar="FOLDER", help="four IDX files (default: MNIST, which comes with the project)"
    )
    flag("--seed", type=number(int, 0), metavar="N", help="of parameters and batches (default: the checkpoint's, or 0)")
    flag("--batch_size", type=number(int), metavar="N", help="(default: the checkpoint's, or the config's)")
    flag("--learning_rate", type=number(float), metavar="X", help="(default: the checkpoint's, or the config's)")
    flag("--precision", **one_of(["float32", "float64", "bfloat16"]), help="(default: the checkpoint's, or float32)")
    flag("--device", **one_of(["auto", "cpu", "gpu"]), default="auto", help="(default: auto, a GPU where there is one)")
    flag("--threads", type=number(int), metavar="N", help="to compute with (default: as many as physical cores)")
    flags = parser.parse_args(argv)
    if not flags.train and not flags.test:
        parser.error("nothing to do: add --train --train_num N, or --test")
    if flags.train and flags.train_num is None:
        parser.error("--train needs --train_num N")
    if flags.train_num and not flags.train:
        parser.error("--train_num goes with --train")
    return flags


class Parser(argparse.ArgumentParser):
    """Says a mistake in one line, like every error of the program's."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        raise UserError(f"{message} (python main.py --help lists the flags)")


def number(kind: type, minimum: int | None = None) -> Callable[[str], Any]:
    """A flag's type: a finite number, at least `minimum`, or without one more than zero."""

    def convert(text: str) -> Any:
        wanted = "a whole number" if kind is int else "a number"
        bound = "above 0" if minimum is None else f"from {minimum} on"
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (0 < value < math.inf if minimum is None else minimum <= value < math.inf):
            raise argparse.ArgumentTypeError(f"'{text}' is not {wanted} {bound}")
        return value

    return convert


def one_of(names: Sequence[str]) -> dict[str, Any]:
    """What makes a flag take one of `names`, and suggest one for what is nearly it."""

    def convert(text: str) -> str:
        if text not in names:
            near = difflib.get_close_matches(text, names, 1)
            suggestion = f"; did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentTypeError(f"there is no '{text}', only {', '.join(names)}{suggestion}")
        return text

    return {"type": convert, "metavar": "{" + ",".join(names) + "}"}


if __name__ == "__main__":
    sys.exit(main())
