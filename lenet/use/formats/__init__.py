"""The formats of other programs. Each module writes one, loads it again, and has the lines that load it elsewhere.

    write(path, settings, parameters)   parameters: canonical name -> float32 in canonical layout
    logits(path, settings, images)      of the file, by the program that it is for; the page has none
    loading(path, settings)             lines of Python that load the file and use it

Every file takes images of uint8 and divides them by 255; for parameters alone the lines do. Images in grey may come
without their axis of channels: the lines say in which shape.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from lenet.settings import Settings


def literal(path: Path) -> str:
    """Return a path as a string of Python, on Windows too."""
    return json.dumps(path.as_posix(), ensure_ascii=False)


def shape(settings: Settings, *axes: int) -> str:
    """Return the shape of images as text, as it is in images.npy, with more axes of size 1 at its end."""
    height, width, channels = settings.data.image_shape
    sizes = [height, width, *([channels] if channels > 1 else axes)]
    return f"[n, {', '.join(map(str, sizes))}]"


def answers(settings: Settings, numbers: str) -> str:
    """Return the line or lines that print the class of each image; of digits the numbers are the names."""
    classes: Sequence[str] = settings.data.classes
    if list(classes) == [str(number) for number in range(len(classes))]:
        return f"print({numbers})"
    return f"classes = {list(classes)!a}\nprint([classes[i] for i in {numbers}])"
