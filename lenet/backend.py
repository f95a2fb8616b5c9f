"""Backend: the few methods that a framework must supply. NumPy arrays are the contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet.network import Network

# Adam as in Kingma & Ba (2015), with the epsilon-hat of the end of their section 2.
BETA1, BETA2, EPSILON_HAT = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class TrainingState:
    """What the next step depends on, in canonical names and layout (see Network.shapes).

    The arrays are float64 with precision float64, else float32.
    """

    step: int  # number of steps made
    parameters: dict[str, np.ndarray]
    first_moment: dict[str, np.ndarray]  # Adam's moving average of the gradient
    second_moment: dict[str, np.ndarray]  # and of its square

    @property
    def arrays(self) -> tuple[dict[str, np.ndarray], ...]:
        """The parameters and Adam's two moments."""
        return self.parameters, self.first_moment, self.second_moment


def storage_dtype(precision: str) -> str:
    """Return the dtype of parameters and moments; with bfloat16 only the layers compute in bfloat16."""
    return "float64" if precision == "float64" else "float32"


class Backend(ABC):
    """A model and its optimizer in one framework. Each file in backends/ defines one, called LeNet.

    Call write_state before any other method.
    """

    engine: str  # the library that computes
    device: str  # cpu or gpu
    threads: int  # for computing on the CPU
    versions: dict[str, str]  # of the framework's packages
    step: int  # number of steps made
    parameters: dict[str, Any]  # canonical name -> the framework's variable
    first_moment: dict[str, Any]
    second_moment: dict[str, Any]

    @abstractmethod
    def __init__(self, network: Network, precision: str, device: str, threads: int, label_smoothing: float = 0) -> None:
        """Build the model and the optimizer.

        The loss is the cross-entropy; the share `label_smoothing` of each label is spread evenly over all classes.
        UserError if `device` is gpu and there is none. The frameworks set `threads` once in a process.
        """

    @abstractmethod
    def assign(self, variable: Any, array: np.ndarray) -> Any:
        """Set a variable, of any of the three kinds, to an array in canonical layout, whatever its dtype; return it."""

    @abstractmethod
    def to_numpy(self, variable: Any) -> np.ndarray:
        """Return a copy of a variable in canonical layout."""

    @abstractmethod
    def train(
        self, images: np.ndarray, labels: np.ndarray, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Make one step on each batch.

        Images uint8 [steps, batch, height, width, channels], labels uint8 [steps, batch], learning rates float64
        [steps]. Returns the loss, a mean cross-entropy, and the accuracy of each step on its batch, before its update:
        two arrays [steps].
        """

    @abstractmethod
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n, height, width, channels] -> logits [n, classes]."""

    def write_state(self, state: TrainingState) -> None:
        """Continue from `state`, whichever framework it came from."""
        self.step = state.step
        for variables, arrays in zip(self._variables(), state.arrays, strict=True):
            for name, variable in variables.items():
                variables[name] = self.assign(variable, arrays[name])

    def read_state(self) -> TrainingState:
        """Return copies of the state after the last step."""
        groups = [{name: self.to_numpy(v) for name, v in variables.items()} for variables in self._variables()]
        return TrainingState(self.step, *groups)

    def _variables(self) -> tuple[dict[str, Any], ...]:
        return self.parameters, self.first_moment, self.second_moment
