"""What is the same for every contender of the race: it trains until a test reaches the goal, or to its end."""

import json
import time
from collections.abc import Callable

GOAL = 0.99  # of the test images


def compete(train_pass: Callable[[], object], test: Callable[[], float], passes: int) -> None:
    """Train pass by pass; print the seconds of training, without the tests, and the best test accuracy."""
    seconds, best, done = 0.0, 0.0, 0
    while done < passes and best < GOAL:
        started = time.perf_counter()
        train_pass()
        seconds += time.perf_counter() - started
        done += 1
        best = max(best, test())
    print(json.dumps({"seconds": seconds, "accuracy": best}))
