"""The race to 99.0 % of the test images: each framework's own MNIST example, and `fast` in each framework.

Every contender of a seed is a process of its own, and they take turns, so that what slows the machine for a while slows
them all. Seconds are those of training: the tests are not counted. What is done is kept in a file: started again, it
goes on.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import backends
from benchmarks.race.contest import GOAL
from benchmarks.results import measure, read
from benchmarks.throughput import IMPORTS, unpack

Contenders = dict[str, list[dict[str, Any]]]  # each one's results, a seed each


def main() -> None:
    """Let every contender run with every seed, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--results", type=Path, default=Path("logs/race.jsonl"), help="what is done (%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as mnist:
        unpack(Path(mnist))
        commands = {f"{name}'s example": (f"benchmarks.race.{name}", "{seed}", mnist) for name in IMPORTS}
        commands |= {f"fast, {name}": ("benchmarks.race.fast", name, "{seed}") for name in backends.installed()}
        for seed in range(flags.seeds):
            for contender, arguments in commands.items():
                words = [argument.format(seed=seed) for argument in arguments]
                measure(flags.results, {"contender": contender, "seed": seed}, "-m", *words)
    print(table({name: [r for r in read(flags.results) if r["contender"] == name] for name in commands}))


def table(contenders: Contenders) -> str:
    """Each contender's mean and standard deviation over the seeds, as Markdown."""

    def over_seeds(values: list[float], form: str, unit: str) -> str:
        deviation = statistics.stdev(values) if len(values) > 1 else 0
        return f"{statistics.mean(values):{form}} ± {deviation:{form}} {unit}"

    seconds = {
        name: [result["seconds"] for result in results if result["accuracy"] >= GOAL]
        for name, results in contenders.items()
    }
    example = seconds["pytorch's example"]
    rows = [["", "seconds to 99.0 %", "seeds that get there", "best test accuracy", "sooner than pytorch's example"]]
    rows.append(["---"] * len(rows[0]))
    for name, results in contenders.items():
        mine = seconds[name]
        row = [name, over_seeds(mine, ".1f", "s") if mine else "not reached", f"{len(mine)} of {len(results)}"]
        row.append(over_seeds([100 * result["accuracy"] for result in results], ".2f", "%"))
        row.append(f"{statistics.mean(example) / statistics.mean(mine):.1f}" if mine and example else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
