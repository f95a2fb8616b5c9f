"""ONNX: one graph, written from the architecture; images uint8 -> logits and probabilities [n, classes]."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import lenet
from lenet.settings import Settings
from lenet.use.formats import answers, literal, shape

OPSET, IR_VERSION = 17, 8  # of 2022: what reads newer files reads these, too
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}

LOADING = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({name})
logits, probabilities = session.run(None, {{"images": np.load("images.npy")}})  # uint8 {shape}
{answers}
"""


def loading(path: Path, settings: Settings) -> str:
    """Return the lines that load the file."""
    numbers = answers(settings, "probabilities.argmax(axis=1).tolist()")
    return LOADING.format(name=literal(path), shape=shape(settings), answers=numbers)


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file."""
    network, (height, width, channels) = settings.network, settings.data.image_shape
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

    activation = ACTIVATIONS[network.architecture.activation]
    x = node("Div", node("Cast", "images", to=TensorProto.FLOAT), "255")
    x = node("Unsqueeze", x, "channels") if channels == 1 else node("Transpose", x, perm=[0, 3, 1, 2])
    for layer in network.conv_layers:  # [n, channels, height, width]
        conv = layer.conv
        same = "SAME_UPPER" if conv.padding == "same" else "VALID"
        x = node(activation, node("Conv", x, f"{layer.name}/kernel", f"{layer.name}/bias", auto_pad=same))
        pool, window, strides = f"{conv.pool.capitalize()}Pool", [conv.pool_window] * 2, [conv.pool_stride] * 2
        padded = any(after for _, after in map(conv.pool_padding, layer.convolved[:2]))
        # With a stride above the window, SAME_UPPER would be a padding below zero.
        x = node(pool, x, kernel_shape=window, strides=strides, auto_pad="SAME_UPPER" if padded else "VALID")
    x = node("Flatten", node("Transpose", x, perm=[0, 2, 3, 1]), axis=1)
    *hidden, last = network.dense_layers
    for dense in hidden:
        x = node(activation, node("Gemm", x, f"{dense.name}/kernel", f"{dense.name}/bias"))
    x = node("Gemm", x, f"{last.name}/kernel", f"{last.name}/bias", output="logits")
    node("Softmax", x, output="probabilities", axis=1)
    sizes: list[str | int] = ["n", height, width, *([channels] if channels > 1 else [])]
    graph = helper.make_graph(
        nodes,
        "lenet",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, sizes)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", network.classes])
            for name in ("logits", "probabilities")
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="lenet", producer_version=lenet.__version__
    )
    helper.set_model_props(model, {"classes": json.dumps(settings.data.classes)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def logits(path: Path, settings: Settings, images: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """Images uint8 [n, height, width, channels] -> logits [n, classes], by ONNX's own reference."""
    images = images[..., 0] if images.shape[3] == 1 else images
    (found,) = map(np.asarray, ReferenceEvaluator(str(path)).run(["logits"], {"images": images}))
    return found
