"""The formats of other programs. Each module writes one, loads it again, and has the lines that load it elsewhere.

    write(path, settings, parameters)   parameters: canonical name -> float32 in canonical layout
    logits(path, settings, images)      of the file, by the program that it is for; the page has none
    loading(path, settings)             lines of Python that load the file and use it

Every file takes images of uint8, light on dark, and divides them by 255; for parameters alone the lines do.
"""

import json
from pathlib import Path


def literal(path: Path) -> str:
    """Return a path as a string of Python, on Windows too."""
    return json.dumps(path.as_posix(), ensure_ascii=False)
