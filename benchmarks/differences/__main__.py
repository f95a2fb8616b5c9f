"""What LeNet does when a framework's own habit is left in place: python -m benchmarks.differences.

Each row of the table is one habit that this project replaces by what all frameworks can do alike. It is trained twice,
in processes of their own: as the project does it, and with the habit.
"""

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import Any

from benchmarks.differences.experiments import DIFFERENCES, STEPS, Experiment, left, plain
from benchmarks.results import measure, read


def main() -> None:
    """Make the runs that are missing, and print the table. A child process makes one run, and prints its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.differences", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--results", type=Path, default=Path("logs/differences.jsonl"), help="what is done (%(default)s)"
    )
    parser.add_argument("--one", nargs=3, metavar=("NAME", "HOW", "SEED"), help="one run, HOW is plain or left")
    flags = parser.parse_args()
    if flags.one:
        name, how, seed = flags.one
        kind = {"plain": plain, "left": left}[how](DIFFERENCES[name])
        print(json.dumps(kind(int(seed)).run()))
        return
    for seed in range(flags.seeds):
        for name, kind in DIFFERENCES.items():
            for how in (plain, left):
                key = {"run": key_of(how(kind)), "seed": seed}
                words = ("--one", name, how.__name__, str(seed))
                measure(flags.results, key, "-m", "benchmarks.differences", *words)
    print(table(read(flags.results)))


def key_of(kind: type[Experiment]) -> str:
    """Name a run: all rows in one framework with the same settings share the project's own."""
    settings = [kind.framework, kind.config, kind.precision, *(f"{key}={value}" for key, value in kind.changes.items())]
    return " ".join([kind.__name__, *settings])


def table(done: list[dict[str, Any]]) -> str:
    """Return a row for each difference, as Markdown: means over the seeds, after ± their standard deviation."""
    rows = [
        [
            "what is changed",
            "framework",
            "cross-entropy after 1 step",
            "after 40 steps",
            "test accuracy after 1000, change in points",
        ]
    ]
    rows.append(["---"] * len(rows[0]))
    for kind in DIFFERENCES.values():
        pairs = [by_seed(done, key_of(each)) for each in (plain(kind), kind)]
        if not (seeds := sorted(pairs[0].keys() & pairs[1].keys())):
            continue
        row = [(kind.__doc__ or "").rstrip("."), kind.framework]
        for step in STEPS[:-1]:
            own, left = (statistics.mean(found[seed][f"cross_entropy_{step}"] for seed in seeds) for found in pairs)
            apart = statistics.mean(
                abs(pairs[1][seed][f"cross_entropy_{step}"] - pairs[0][seed][f"cross_entropy_{step}"]) for seed in seeds
            )
            distance = f"{apart:.3f}" if apart >= 0.001 else f"{apart:.1e}"
            change = f"{own:.3f}\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}{left:.3f}"
            row.append("the same" if apart == 0 else f"{change} ({distance})")
        changes = [100 * (pairs[1][seed][kind.compared] - pairs[0][seed][kind.compared]) for seed in seeds]
        deviation = f" ± {statistics.stdev(changes):.2f}" if len(changes) > 1 else ""
        told = " (training accuracy)" if kind.compared == "told_accuracy" else ""
        row.append(f"{round(statistics.mean(changes), 2) + 0:+.2f}{deviation}{told}" if any(changes) else "the same")
        rows.append(row)
    # A minus sign in exponents: browsers break lines after a hyphen.
    return re.sub(r"(?<=\de)-(?=\d)", "\N{MINUS SIGN}", "\n".join(f"| {' | '.join(row)} |" for row in rows))


def by_seed(done: list[dict[str, Any]], run: str) -> dict[int, dict[str, Any]]:
    """Return the figures of a run by seed."""
    return {each["seed"]: each for each in done if each["run"] == run}


if __name__ == "__main__":
    main()
