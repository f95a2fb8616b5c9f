"""Files of other programs, which cannot be loaded: what they seem to be."""

from pathlib import Path

PYTORCH, KERAS, TENSORFLOW = "a model of PyTorch", "a model of Keras", "a model of TensorFlow"
ENDINGS = {
    ".pt": PYTORCH,
    ".pth": PYTORCH,
    ".pt2": PYTORCH,
    ".ckpt": "a checkpoint of another program",
    ".h5": KERAS,
    ".keras": KERAS,
    ".index": TENSORFLOW,
    ".pb": TENSORFLOW,
    ".tflite": TENSORFLOW,
    ".onnx": "a model in ONNX",
    ".npy": "an array of NumPy",
    ".npz": "arrays of NumPy",
}
FIRST_BYTES = {
    b"PK\x03\x04": "an archive, such as models of PyTorch and Keras are",
    b"\x89HDF": KERAS,
    b"\x80\x02": PYTORCH,
    b"\x93NUMPY": "an array of NumPy",
}


def describe(path: Path) -> str:
    """Return what a file seems to be, from its ending or else from its first bytes; empty if that is not known."""
    if kind := ENDINGS.get(path.suffix.lower()):
        return kind
    try:
        if not path.is_file():  # opening a pipe would wait
            return ""
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return ""
    return next((kind for bytes_, kind in FIRST_BYTES.items() if start.startswith(bytes_)), "")
