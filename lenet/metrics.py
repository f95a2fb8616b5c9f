"""What the probabilities of labelled images say of a model."""

from typing import Any

import numpy as np

MISTAKES = 25  # that are shown


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return how many images of each true class (rows) are predicted to be of each class (columns)."""
    pairs = labels.astype(int) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def by_class(counts: np.ndarray) -> list[dict[str, Any]]:
    """Return each class's precision and recall from 0 to 1, and its number of images, from a confusion matrix.

    The precision of a class that is never predicted is None, as is the recall of one without images.
    """
    right, predicted, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return [
        {"precision": hit / said if said else None, "recall": hit / there if there else None, "images": there}
        for hit, said, there in zip(right.tolist(), predicted.tolist(), true.tolist(), strict=True)
    ]


def surest_mistakes(labels: np.ndarray, probabilities: np.ndarray, count: int = MISTAKES) -> np.ndarray:
    """Return which images are predicted wrongly, at most `count`, the most confident first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
