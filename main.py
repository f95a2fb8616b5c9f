"""LeNet on MNIST in TensorFlow, PyTorch or Keras: the same parameters, batches and Adam in all three."""

import argparse
import itertools
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet import UserError, notice, say
from lenet.architecture import CONFIGS, PRECISIONS, load
from lenet.flags import Parser, lacks_bfloat16, number, one_of, path, physical_cores

# What needs NumPy is imported where it is used, so that --help and a mistyped flag are answered at once.
if TYPE_CHECKING:
    from lenet.backend import Backend
    from lenet.checkpoint import Checkpoint
    from lenet.dataset import Dataset

FRAMEWORKS = sorted(path.stem for path in (Path(__file__).parent / "backends").glob("[!_]*.py"))


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the flags say and return the exit code."""
    try:
        flags = parse(argv)
        return report(flags) if flags.report else run(flags)
    except UserError as error:
        complaint, exit_code = str(error), error.exit_code
    except ModuleNotFoundError as error:  # another Python than the one that has the requirements
        complaint, exit_code = f"{error}; use .venv/bin/python, or pip install -r requirements.txt", 2
    except KeyboardInterrupt as interrupt:
        number = signal.Signals(*(interrupt.args or [signal.SIGINT]))
        complaint, exit_code = f"stopped by {number.name}", 128 + number
    say(f"main.py: {complaint}", sys.stderr)
    return exit_code


def run(flags: argparse.Namespace) -> int:
    """Flags -> Trainer -> the result line."""
    from lenet import dataset
    from lenet.checkpoint import Checkpoint
    from lenet.run import Run
    from lenet.trainer import Trainer

    data = dataset.load(flags.data_dir or dataset.EMBEDDED)
    source, start = starting_point(flags, data)
    if flags.train and start.architecture.batch_size > (count := len(data.train.images)):
        raise UserError(f"batch size {start.architecture.batch_size}: there are {count} training images")
    trainer = Trainer(build_backend(flags, flags.framework, start), data, start)
    place = Run(flags.log_dir, flags.config, flags.framework, start.seed)
    if not flags.train:
        result, where = trainer.test(place), source
    else:
        continued = source is not None and os.path.realpath(source) == os.path.realpath(place.checkpoint)
        with place.take(continued):
            if continued and Checkpoint.load(place.checkpoint).sha256 != start.sha256:
                raise UserError(f"another process has just trained in {place.folder}; start this one again")
            result, where = trainer.train(flags.train_num, place, flags.save_every), place.folder
    say_result(
        f"{flags.config} {flags.framework} seed {start.seed} step {result['step']}: "
        f"test accuracy {100 * result['test_accuracy']:.2f} %, cross-entropy {result['test_cross_entropy']:.4f}, "
        f"{result['images_per_second']:,.0f} images/s, {where}"
    )
    return 0


def report(flags: argparse.Namespace) -> int:
    """Flags -> many runs, each this program in a process of its own -> the report."""
    import numpy as np

    from lenet import dataset, grid, report
    from lenet.checkpoint import Checkpoint
    from lenet.files import writing
    from lenet.interrupt import handle, stop
    from lenet.run import Run
    from lenet.trainer import Trainer

    handle(stop)
    data = dataset.load(flags.data_dir or dataset.EMBEDDED)
    tasks = [
        grid.Task(
            Run(flags.log_dir, config, framework, seed),
            replace(load(config), **given(flags, "batch_size", "learning_rate")),
            flags.precision or "float32",
            data.training_sha256,
            flags.train_num,
        )
        for seed, config, framework in itertools.product(range(flags.seeds), flags.config, flags.framework)
    ]
    jobs = flags.jobs or max(1, physical_cores() // 2)
    threads = flags.threads or max(1, physical_cores() // jobs)
    shared = given(flags, "log_dir", "data_dir", "batch_size", "learning_rate", "precision", "device", "save_every")
    command = [sys.executable, __file__, f"--threads={threads}"]
    command += [f"--{name}={value}" for name, value in shared.items()]

    def predict(run: Run) -> np.ndarray:
        start = Checkpoint.load(run.checkpoint)
        return Trainer(build_backend(flags, run.framework, start), data, start).predict(data.test.images)

    with grid.take(folder := flags.log_dir / "report") as lock:
        errors = grid.train(tasks, command, jobs, lock)
        if done := [task for task in tasks if task.run not in errors]:
            with writing(folder):
                page = report.write(folder, done, data.test, predict, shlex.join(sys.argv))
    for run, error in errors.items():
        notice(f"{run.config} {run.framework} seed {run.seed} failed: {error}")
    if done:
        say_result(str(page))
    return 1 if errors else 0


def say_result(line: str) -> None:
    """Print it to stdout; UserError when it cannot be written."""
    if not say(line, sys.stdout):
        raise UserError("the result cannot be written to stdout; what was saved is whole", 1)


def starting_point(flags: argparse.Namespace, data: "Dataset") -> "tuple[Path | None, Checkpoint]":
    """The checkpoint to go on from and its file; None for a fresh one."""
    from lenet.checkpoint import Checkpoint
    from lenet.run import Run

    architecture = load(flags.config)
    changes, settings = given(flags, "batch_size", "learning_rate"), given(flags, "seed", "precision")
    if flags.train and flags.load is None:
        return None, Checkpoint.initial(replace(architecture, **changes), data.training_sha256, **settings)
    source: Path = flags.load or Run(flags.log_dir, flags.config, flags.framework, flags.seed or 0).checkpoint
    if os.path.isdir(source):  # noqa: PTH112 - Path.is_dir raises where it may not look
        source /= Run.CHECKPOINT
    found = Checkpoint.load(source)
    found.refuse_other(architecture, source)
    if flags.train and found.training_sha256 != data.training_sha256:
        notice(f"{source} was trained on other data than what lies in {flags.data_dir or 'the project (MNIST)'}")
    if not flags.train:
        return source, replace(found, **given(flags, "precision"))
    architecture = replace(found.architecture, **changes)
    return source, replace(found, architecture=architecture, training_sha256=data.training_sha256, **settings)


def build_backend(flags: argparse.Namespace, framework: str, start: "Checkpoint") -> "Backend":
    """The framework, imported and ready."""
    import backends

    threads = flags.threads or physical_cores()
    backend = backends.load(framework)(start.architecture, start.precision, flags.device, threads)
    if start.precision == "bfloat16" and backend.device == "cpu" and lacks_bfloat16():
        notice("this processor has no arithmetic for bfloat16, which will be slower than float32")
    return backend


def given(flags: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the flags that were given."""
    return {name: vars(flags)[name] for name in names if vars(flags)[name] is not None}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the flags' values; UserError when one is wrong or they do not go together."""
    parser = Parser("main.py", description=__doc__, allow_abbrev=False)
    flag = parser.add_argument
    flag("-t", "--train", action="store_true", help="train for --train_num steps, test, and save")
    flag("-e", "--test", action="store_true", help="test the checkpoint that --load names, or else this run's own")
    flag("--report", action="store_true", help="train every config in every framework, and compare them in a report")
    own = "without a value, the run of this config, framework and seed in the log folder (default: begin anew)"
    load_help = f"continue a checkpoint (a file or a run's folder, whichever framework wrote it); {own}"
    flag("-l", "--load", nargs="?", const=False, type=path, metavar="CHECKPOINT", help=load_help)
    flag("--train_num", type=number(int, 0), metavar="N", help="steps to make, a mini-batch each; with --load, to add")
    several = "with --report several may be given, by default it takes all"
    flag("--save_every", type=number(int), default=500, metavar="N", help="steps (default: 500); also at the end")
    flag("--framework", **one_of(FRAMEWORKS), action="append", help=f"(default: pytorch); {several}")
    flag("--config", **one_of(list(CONFIGS)), action="append", help=f"a file in configs/ (default: lenet); {several}")
    flag("--log_dir", type=path, default="logs", metavar="FOLDER", help="where the runs lie (default: logs)")
    flag("--data_dir", type=path, metavar="FOLDER", help="four IDX files (default: MNIST, which comes with this)")
    flag("--seed", type=number(int, 0), metavar="N", help="of parameters and batches (default: the checkpoint's, or 0)")
    flag("--seeds", type=number(int), metavar="N", help="seeds 0 to N-1, for --report (default: 3)")
    flag("--jobs", type=number(int), metavar="N", help="runs at once, for --report (default: one per two cores)")
    flag("--batch_size", type=number(int), metavar="N", help="(default: the checkpoint's, or the config's)")
    flag("--learning_rate", type=number(float), metavar="X", help="(default: the checkpoint's, or the config's)")
    flag("--precision", **one_of(PRECISIONS), help="(default: the checkpoint's, or float32)")
    flag("--device", **one_of(["auto", "cpu", "gpu"]), default="auto", help="(default: auto, a GPU where there is one)")
    flag("--threads", type=number(int, maximum=os.cpu_count() or 1), metavar="N", help="(default: the physical cores)")
    flags = parser.parse_args(argv)
    if not (flags.train or flags.test or flags.report):
        parser.error("nothing to do: add --train --train_num N, or --test, or --report --train_num N")
    if flags.report and (flags.train or flags.test or flags.load is not None or flags.seed is not None):
        parser.error("--report trains and tests by itself, from --seeds: leave --train, --test, --load and --seed out")
    if (flags.train or flags.report) and flags.train_num is None:
        parser.error(f"--{'train' if flags.train else 'report'} needs --train_num N")
    if flags.test and not flags.train and (alone := given(flags, "train_num", "batch_size", "learning_rate")):
        parser.error(f"--{min(alone)} goes with --train")
    if not flags.report and (flags.seeds or flags.jobs):
        parser.error("--seeds and --jobs go with --report")
    if flags.train_num == 0 and flags.load is None:
        parser.error(
            "argument --train_num: '0' is not a whole number above 0; with --load, 0 ends what was killed in its test"
        )
    if flags.report:
        flags.seeds = flags.seeds or 3
        flags.config, flags.framework = flags.config or CONFIGS, flags.framework or FRAMEWORKS
    elif len(flags.config or []) > 1 or len(flags.framework or []) > 1:
        parser.error("several --config or --framework go with --report")
    else:
        (flags.config,), (flags.framework,) = flags.config or ["lenet"], flags.framework or ["pytorch"]
    return flags


if __name__ == "__main__":
    if sys.stderr is None:  # closed: nothing else shall become file 2, which frameworks write to
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    sys.exit(main())
