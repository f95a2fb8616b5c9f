"""LeNet on MNIST in several frameworks: train, test, load, describe and report, as the command line does.

    import lenet
    run = lenet.train("lenet", framework="pytorch", steps=1000)
    print(run.result["test_accuracy"], run.curves["train"]["accuracy"].values[-1])

A framework is imported by the first call that computes with it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from lenet.errors import UserError

if TYPE_CHECKING:
    from lenet.api import load, test, train
    from lenet.data.description import describe
    from lenet.study.study import report

__version__ = "1.0.0"
__all__ = ["UserError", "describe", "load", "report", "test", "train"]
ELSEWHERE = {"describe": "lenet.data.description", "report": "lenet.study.study"}  # than in lenet.api


def __getattr__(name: str) -> Any:
    """Import the module of a function when it is first asked for."""
    if name in __all__:
        return getattr(importlib.import_module(ELSEWHERE.get(name, "lenet.api")), name)
    if name == "data":
        return importlib.import_module("lenet.data")
    raise AttributeError(f"module 'lenet' has no attribute '{name}'")
