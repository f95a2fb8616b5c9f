"""Backend: the few methods that a framework must supply. NumPy arrays are the contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from lenet import UserError
from lenet.architecture import Architecture


@dataclass(frozen=True)
class TrainingState:
    """What the next step depends on, in canonical names and layout (see Architecture.shapes).

    The arrays are float64 under precision float64, else float32.
    """

    step: int  # the steps that have been made
    parameters: dict[str, np.ndarray]
    first_moment: dict[str, np.ndarray]  # Adam's moving average of the gradient
    second_moment: dict[str, np.ndarray]  # and of its square

    @property
    def arrays(self) -> tuple[dict[str, np.ndarray], ...]:
        """The parameters and Adam's two moments."""
        return self.parameters, self.first_moment, self.second_moment


def storage_dtype(precision: str) -> str:
    """What parameters and moments are kept in; bfloat16 is for convolutions and matrix products alone."""
    return "float64" if precision == "float64" else "float32"


def choose_device(wanted: str, finds_gpu: bool, framework: str) -> str:
    """Return cpu or gpu for auto, cpu or gpu; UserError when the GPU that is wanted is not there."""
    if wanted == "gpu" and not finds_gpu:
        raise UserError(f"{framework} finds no GPU that it can use (see the README's Flags); leave --device out")
    return "gpu" if finds_gpu and wanted != "cpu" else "cpu"


class Backend(ABC):
    """A model and its optimizer in one framework. Each file in backends/ has one, by the name LeNet."""

    engine: str  # who does the arithmetic
    device: str  # where: cpu or gpu
    threads: int  # that it computes with
    versions: dict[str, str]  # the framework's packages

    @abstractmethod
    def __init__(self, architecture: Architecture, precision: str, device: str, threads: int) -> None:
        """Build the model and the optimizer, whose state write_state must set before anything else is asked.

        UserError when `device` asks for a GPU that is not there. The frameworks set `threads` once in a process.
        """

    @abstractmethod
    def write_state(self, state: TrainingState) -> None:
        """Continue from `state`, whatever its dtype and whichever framework it came from."""

    @abstractmethod
    def read_state(self) -> TrainingState:
        """Return copies of the state after the last step."""

    @abstractmethod
    def load_training_set(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Put the images (uint8 [n, 28, 28]) and labels (uint8 [n]) where the steps will take their batches from."""

    @abstractmethod
    def train(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make one step on each row of `indices` (int64 [steps, batch], into the training set).

        Returns each step's mean cross-entropy and accuracy on its batch, before its update: two arrays [steps].
        """

    @abstractmethod
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n, 28, 28] -> logits [n, 10]."""
