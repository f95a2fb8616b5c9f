"""Sets that are not MNIST, made of MNIST and of letters drawn by Pillow: python sets.py FOLDER writes both."""

import string
import sys
from pathlib import Path

import numpy as np
from conftest import write_idx
from PIL import Image, ImageDraw, ImageFont

from lenet.data import load

LETTERS = [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"]  # EMNIST's 47 balanced classes


def letters(folder, train=60, test=10, seed=0):
    """IDX files of 47 classes as EMNIST has them: 28x28, on their sides, with EMNIST's names and its mapping."""
    generator, fonts = np.random.default_rng(seed), [ImageFont.load_default(size) for size in (18, 20, 22)]
    folder.mkdir(parents=True)
    (folder / "emnist-balanced-mapping.txt").write_text("".join(f"{i} {ord(c)}\n" for i, c in enumerate(LETTERS)))
    for part, count in (("train", train), ("test", test)):
        labels = generator.permutation(np.repeat(np.arange(47, dtype=np.uint8), count))
        images = np.stack([_letter(LETTERS[label], generator, fonts) for label in labels])
        write_idx(folder / f"emnist-balanced-{part}-images-idx3-ubyte.gz", images.swapaxes(1, 2))
        write_idx(folder / f"emnist-balanced-{part}-labels-idx1-ubyte.gz", labels)
    return folder


def _letter(letter, generator, fonts):
    image = Image.new("L", (28, 28))
    font = fonts[generator.integers(len(fonts))]
    ImageDraw.Draw(image).text((14, 14), letter, 255, font, "mm", stroke_width=int(generator.integers(2)))
    shift = tuple(generator.integers(-2, 3, 2).tolist())
    turned = image.rotate(generator.uniform(-12, 12), Image.Resampling.BILINEAR, translate=shift)
    return np.asarray(turned)


def colours(folder, train=2_000, test=300, seed=0):
    """Folders of PNGs, train/<digit>/ and test/<digit>/: MNIST's digits, bright on dark colours, in 32x32."""
    generator, mnist = np.random.default_rng(seed), load()
    for part, split, count in (("train", mnist.train, train), ("test", mnist.test, test)):
        for digit in range(10):
            (folder / part / f"digit {digit}").mkdir(parents=True)
        for i, (image, label) in enumerate(zip(split.images[:count], split.labels[:count], strict=True)):
            ink = np.zeros((32, 32, 1))
            row, column = generator.integers(5, size=2)
            ink[row : row + 28, column : column + 28] = image / 255
            paper, pen = generator.integers(0, 90, 3), generator.integers(150, 256, 3)
            picture = Image.fromarray((paper * (1 - ink) + pen * ink).astype(np.uint8))
            picture.save(folder / part / f"digit {label}" / f"{i:05}.png")
    return folder


if __name__ == "__main__":
    letters(Path(sys.argv[1], "letters"))
    colours(Path(sys.argv[1], "colours"))
