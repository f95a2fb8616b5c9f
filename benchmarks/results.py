"""What is done of a long measurement, a line of JSON each in a file: started again, it goes on."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.throughput import python


def read(path: Path) -> list[dict[str, Any]]:
    """Return what is done; nothing without the file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(path: Path, key: dict[str, Any], *arguments: str) -> None:
    """Run Python, and add its figures with this key, unless they are there."""
    if any(key.items() <= done.items() for done in read(path)):
        return
    result = key | python(*arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        print(json.dumps(result), file=file)
    print(*result.values(), file=sys.stderr)
