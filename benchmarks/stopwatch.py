"""What is the same in every measurement of a loop: the first steps are left out of its speed."""

import json
import time
from collections.abc import Sequence

BATCH_SIZE = 100
WARM_UP = 10  # steps: they trace functions, choose algorithms and fill caches


def images_per_second(step_times: Sequence[float]) -> float:
    """After the warm-up; from each step's end in seconds."""
    return BATCH_SIZE * (len(step_times) - WARM_UP) / (step_times[-1] - step_times[WARM_UP - 1])


class Stopwatch:
    """Notes the steps of a loop."""

    def __init__(self) -> None:
        self.step_times: list[float] = []

    def lap(self) -> None:
        """To be called after every step."""
        self.step_times.append(time.time())

    def report(self) -> None:
        """Print when the first step was done, in seconds since 1970, and the speed."""
        speed = images_per_second(self.step_times)
        print(json.dumps({"first_step_at": self.step_times[0], "images_per_second": speed}))
