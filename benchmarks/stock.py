"""How fast a framework's own loop trains: python -m benchmarks.stock FRAMEWORK STEPS MNIST."""

import importlib
import inspect
import sys

from benchmarks.stopwatch import Stopwatch


def measure(framework: str, steps: int, mnist: str) -> None:
    """Train the framework's file in examples/; `mnist` is torchvision's folder, which PyTorch's alone reads."""
    stopwatch = Stopwatch()
    train = importlib.import_module(f"examples.lenet_{framework}").train
    root = {"root": mnist} if "root" in inspect.signature(train).parameters else {}
    train(steps, after_step=stopwatch.lap, **root)
    stopwatch.report()


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])
