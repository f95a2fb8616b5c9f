"""Classes: the labels in files -> the numbers and names of classes."""

import numpy as np

from lenet.data.source import Source
from lenet.dataset import MAXIMUM_CLASSES, DatasetInfo
from lenet.errors import UserError


def classes_of(source: Source, labels: np.ndarray, like: DatasetInfo | None) -> tuple[tuple[str, ...], int, np.ndarray]:
    """Return the classes' names, the first label, and the number of each label's class: uint8 [largest label + 1].

    Labels begin at 0 or at 1; where a run knows all the names, they begin as its own did, and the numbers are its own.
    """
    present = np.unique(labels).tolist()
    if not present:
        raise UserError(f"{source.path}: no class has two images, so none can be held out for the test")
    lowest, highest = present[0], present[-1]
    if lowest < 0:
        raise UserError(f"{source.path}: a label is {lowest}; they must be 0 or more")
    first = int(lowest == 1 and len(source.names) <= highest)
    if like and {*source.names} <= {*like.classes} and like.first_label <= lowest:
        first = like.first_label
    if highest - first >= MAXIMUM_CLASSES:
        text = f"a label is {highest:,}; at most {MAXIMUM_CLASSES} classes can be trained, from {first}"
        raise UserError(f"{source.path}: {text}")
    names = source.names or [str(label) for label in range(first, highest + 1)]
    if highest - first >= len(names):
        text = f"there are names for {len(names)} classes, but a label is {highest}; add the missing names"
        raise UserError(f"{source.path}: {text}")
    numbers = {label: label - first for label in present}
    classes = tuple(names)
    if like and {names[number] for number in numbers.values()} <= {*like.classes}:
        classes = like.classes
        numbers = {label: classes.index(names[number]) for label, number in numbers.items()}
    table = np.zeros(highest + 1, np.uint8)
    table[list(numbers)] = list(numbers.values())
    return classes, first, table
