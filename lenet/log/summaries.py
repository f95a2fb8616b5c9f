"""TensorBoard's kinds of values as protos: scalars, histograms, pictures and text, each with a description."""

import numpy as np
from tensorboard.compat.proto.summary_pb2 import DataClass, HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING

BUCKETS = 50
DESCRIPTIONS = {  # a tag, or what a group of tags begins with -> what it is
    "cross_entropy": "The mean cross-entropy in nats. train/: each step's batch, before its update, with the smoothed "
    "labels if the config has any. test/: a held-out batch; last point: all test images. validation/: all held-out "
    "images.",
    "accuracy": "The share of images that are predicted right, of the same images as cross_entropy.",
    "test_accuracy": "The share of all test images that are predicted right, after the last step.",
    "test_cross_entropy": "The mean cross-entropy of all test images in nats, after the last step.",
    "learning_rate": "Adam's learning rate of each step.",
    "images_per_second": "Images trained on in a second, without the time for tests and saves.",
    "parameter": "A layer's kernel or bias, at every save.",
    "first_moment": "Adam's moving average of the gradient, at every save.",
    "update_to_parameter": "log10 of |last update / parameter|, for each element.",
    "kernels": "The first layer's kernels. Of images in grey: blue below zero, red above.",
    "mistakes": "The most confident mistakes on the test images: true class, predicted class, probability.",
    "confusion": "How many test images of each true class (rows) are predicted to be of each class (columns).",
    "settings": "All that decides the run's numbers.",
    "command": "The command, and the versions that ran it.",
}


def metadata(tag: str, plugin: str, data_class: str) -> SummaryMetadata:
    """Return what TensorBoard has to know of a tag; without the class its faster reader drops the description."""
    description = DESCRIPTIONS[tag.partition("/")[0]]
    data = SummaryMetadata.PluginData(plugin_name=plugin)
    return SummaryMetadata(
        summary_description=description, plugin_data=data, data_class=DataClass.Value(f"DATA_CLASS_{data_class}")
    )


def scalar(tag: str, value: float) -> Summary.Value:
    """Return a point of a curve."""
    return Summary.Value(tag=tag, metadata=metadata(tag, "scalars", "SCALAR"), simple_value=value)


def histogram(tag: str, values: np.ndarray) -> Summary.Value:
    """Return the distribution of an array's finite elements over buckets of equal width."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    width = (high - low) / BUCKETS
    if not 1e-30 < width < 1e30:  # in float32 what follows may be infinite
        values, width = values.astype(float), width or 1.0
    buckets = np.minimum((values - low) * (1 / width), BUCKETS - 1).astype(np.int32)  # a third of np.histogram's time
    counts = np.bincount(buckets, minlength=BUCKETS)
    limits = low + width * np.arange(1, BUCKETS + 1)
    total, squares = float(values.sum(dtype=float)), float(np.vdot(values, values))
    content = HistogramProto(min=low, max=high, num=len(values), sum=total, sum_squares=squares)
    content.bucket_limit.extend(limits.tolist())
    content.bucket.extend(counts.tolist())
    return Summary.Value(tag=tag, metadata=metadata(tag, "histograms", "TENSOR"), histo=content)


def picture(tag: str, size: tuple[int, int], png: bytes) -> Summary.Value:
    """Return a picture of a width and a height in pixels."""
    image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=png)
    return Summary.Value(tag=tag, metadata=metadata(tag, "images", "BLOB_SEQUENCE"), image=image)


def text(tag: str, markdown: str) -> Summary.Value:
    """Return text, which TensorBoard reads as Markdown."""
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[markdown.encode()])
    return Summary.Value(tag=tag, metadata=metadata(tag, "text", "TENSOR"), tensor=tensor)
