"""ONNX: one graph, written from the architecture; images uint8 [n, 28, 28] -> logits and probabilities [n, 10]."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import lenet
from lenet.architecture import CLASSES, IMAGE_SIZE
from lenet.settings import Settings
from lenet.use.formats import literal
from lenet.use.forward import same_padding

OPSET, IR_VERSION = 17, 8  # of 2022: what reads newer files reads these, too
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}

LOADING = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({name})
logits, probabilities = session.run(None, {{"images": np.load("images.npy")}})  # uint8 [n, 28, 28]
print(probabilities.argmax(axis=1).tolist())
"""


def loading(path: Path, settings: Settings) -> str:  # noqa: ARG001 - the same for each
    """Return the lines that load the file."""
    return LOADING.format(name=literal(path))


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file."""
    architecture = settings.architecture
    nodes: list[onnx.NodeProto] = []
    constants = {
        "255": np.float32(255),
        "channels": np.array([1]),
        **{name: array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for name, array in parameters.items()},
    }

    def node(operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}_{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    activation = ACTIVATIONS[architecture.activation]
    x = node("Div", node("Cast", "images", to=TensorProto.FLOAT), "255")
    x = node("Unsqueeze", x, "channels")  # [n, 1, 28, 28]
    for layer in architecture.conv_layers:
        conv = layer.conv
        same = "SAME_UPPER" if conv.padding == "same" else "VALID"
        x = node(activation, node("Conv", x, f"{layer.name}/kernel", f"{layer.name}/bias", auto_pad=same))
        pool, window, strides = f"{conv.pool.capitalize()}Pool", [conv.pool_window] * 2, [conv.pool_stride] * 2
        _, after = same_padding(math.isqrt(layer.positions), conv.pool_window, conv.pool_stride)
        # With a stride above the window, SAME_UPPER would be a padding below zero.
        x = node(pool, x, kernel_shape=window, strides=strides, auto_pad="SAME_UPPER" if after else "VALID")
    x = node("Flatten", node("Transpose", x, perm=[0, 2, 3, 1]), axis=1)
    *hidden, last = architecture.dense_layers
    for dense in hidden:
        x = node(activation, node("Gemm", x, f"{dense.name}/kernel", f"{dense.name}/bias"))
    x = node("Gemm", x, f"{last.name}/kernel", f"{last.name}/bias", output="logits")
    node("Softmax", x, output="probabilities", axis=1)
    graph = helper.make_graph(
        nodes,
        "lenet",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", IMAGE_SIZE, IMAGE_SIZE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", CLASSES])
            for name in ("logits", "probabilities")
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="lenet", producer_version=lenet.__version__
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def logits(path: Path, settings: Settings, images: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """Images uint8 [n, 28, 28] -> logits [n, 10], by ONNX's own reference."""
    (found,) = map(np.asarray, ReferenceEvaluator(str(path)).run(["logits"], {"images": images}))
    return found
