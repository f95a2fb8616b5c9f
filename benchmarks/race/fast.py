"""configs/fast.toml, with all that a run does for a user: python -m benchmarks.race.fast FRAMEWORK SEED."""

import json
import sys
import tempfile

import lenet


def main(framework: str, seed: int) -> None:
    """Train to the end of its schedule, and print what `compete` does."""
    with tempfile.TemporaryDirectory() as folder:
        result = lenet.train("fast", framework=framework, seed=seed, log_dir=folder).result
    print(json.dumps({"seconds": result["seconds"], "accuracy": result["test_accuracy"]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
