"""How fast lenet trains here, beside each framework's stock loop and the processor's limit: make benchmark.

Every contender is a process of its own, and a round runs each of them once, so that what slows the machine for a while
slows them all. Ratios are taken within a round; printed is each figure's median over the rounds, and its range.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.limit import LIBRARIES
from benchmarks.stopwatch import images_per_second
from lenet.data import EMBEDDED
from lenet.storage.curves import event_files, read_events
from lenet.system.machine import lacks_bfloat16

PROJECT = Path(__file__).parents[1]
IMPORTS = {"tensorflow": "tensorflow", "pytorch": "torch", "keras": "keras"}  # framework -> what its users import
PRECISIONS = ("float32",) if lacks_bfloat16() else ("float32", "bfloat16")  # emulated it takes minutes
STEPS = 520  # a Trainer saves its checkpoint every 500, a pass over the data is 550
Figures = dict[str, float]
Round = dict[tuple[str, str], Figures]  # (framework, contender) -> what was measured


def main() -> None:
    """Measure every contender in every round, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as mnist:
        unpack(Path(mnist))
        for i in range(flags.rounds):
            rounds.append(measure(mnist))
            print(f"{i + 1} of {flags.rounds} rounds", file=sys.stderr)
    print(tables(rounds))


def unpack(root: Path) -> None:
    """Lay MNIST where torchvision expects it, as one that has trained before has it."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in EMBEDDED.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))


def measure(mnist: str) -> Round:
    """Run every contender once; `mnist` is the folder that `unpack` filled."""
    products = [python("-m", "benchmarks.limit", library) for library in LIBRARIES]
    found = {("", "limit"): max(products, key=lambda product: product["gigaflops"])}
    for framework, module in IMPORTS.items():
        say_when = "print('{\"first_step_at\":', time.time(), '}')"
        found[framework, "import"] = python("-c", f"import time, {module}; {say_when}")
        found[framework, "stock"] = python("-m", "benchmarks.stock", framework, str(STEPS), mnist)
        for precision in PRECISIONS:
            found[framework, f"bare {precision}"] = python("-m", "benchmarks.bare", framework, precision, str(STEPS))
            found[framework, precision] = trainer(framework, precision)
    return found


def python(*arguments: str, figures: Callable[[str], Figures] = json.loads) -> Figures:
    """Run Python, and take what `figures` makes of its output, its peak memory in MB, its first step in seconds."""
    started = time.time()
    with tempfile.TemporaryFile("w+") as complaints:
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"},  # it is about the processor
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process:
            said = process.stdout.read() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            complaints.seek(0)
            sys.exit(f"{complaints.read()}python {' '.join(arguments)} failed with exit code {process.returncode}")
    found = figures(said) | {"memory": usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)}
    return found | {"first_step": found.get("first_step_at", started) - started}


def trainer(framework: str, precision: str) -> Figures:
    """main.py with all that it does for a user; the event file tells when each step was written."""
    with tempfile.TemporaryDirectory() as folder:

        def figures(_: str) -> Figures:
            (curve,) = (file for train in Path(folder).rglob("train") for file in event_files(train))
            step_times = [event.wall_time for event in read_events(curve)[0] if event.summary.value]
            return {"first_step_at": step_times[0], "images_per_second": images_per_second(step_times)}

        flags = ("--framework", framework, "--precision", precision, "--log_dir", folder)
        return python("main.py", "--train", "--train_num", str(STEPS), *flags, figures=figures)


def tables(rounds: list[Round]) -> str:
    """The speeds, then what else was measured, as Markdown."""

    def cell(figure: Callable[[Round], float], form: str) -> str:
        values = [figure(found) for found in rounds]
        low, middle, high = (format(value, form) for value in (min(values), statistics.median(values), max(values)))
        return f"{middle} ({low} to {high})"

    def plain(one: tuple[str, str], key: str, form: str) -> str:
        return cell(lambda found: found[one][key], form)

    def ratio(one: tuple[str, str], other: tuple[str, str], form: str) -> str:
        return cell(lambda found: found[one]["images_per_second"] / found[other]["images_per_second"], form)

    def above_import(one: tuple[str, str], key: str, form: str) -> str:
        return cell(lambda found: found[one][key] - found[one[0], "import"][key], form)

    limit = ("", "limit")
    speed, rate = plain(limit, "images_per_second", ",.0f"), plain(limit, "gigaflops", ".0f")
    columns = ["", "images/s", "ratio to the stock loop", "of the limit", "first step after, s", "more than the import"]
    columns += ["peak memory, MB", "more than the import"]
    rows = [columns, ["---"] * len(columns)]
    for framework in IMPORTS:
        for contender in ("stock", *PRECISIONS):
            one = (framework, contender)
            row = [f"{framework}, {contender}", plain(one, "images_per_second", ",.0f")]
            row += [ratio(one, (framework, "stock"), ".2f"), ratio(one, limit, ".0%")]
            for key, form in (("first_step", ".1f"), ("memory", ",.0f")):
                row += [plain(one, key, form), above_import(one, key, form)]
            rows.append(row)
    rows += [[], ["", "Trainer to the bare backend", "evaluating an image to training on it"], ["---"] * 3]
    for framework in IMPORTS:
        for precision in PRECISIONS:
            one, bare = (framework, precision), (framework, f"bare {precision}")
            rows.append([", ".join(one), ratio(one, bare, ".2f"), plain(bare, "evaluation_to_training_time", ".2f")])
    lines = [f"| {' | '.join(row)} |" if row else "" for row in rows]
    return "\n".join([f"The limit: {rate} GFLOP/s, which is {speed} images/s.", "", *lines])


if __name__ == "__main__":
    main()
