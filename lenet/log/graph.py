"""The structure of a network as TensorFlow's GraphDef, for TensorBoard's GRAPHS."""

from collections.abc import Sequence
from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from lenet.network import ConvLayer, DenseLayer, Network

BATCH = -1  # of any size
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
POOLS = {"max": "MaxPool", "average": "AvgPool"}
Shape = Sequence[int]


class Graph:
    """A GraphDef that grows by operations; each has a scope/name, and is told the shape of what it returns."""

    def __init__(self) -> None:
        self.nodes: list[NodeDef] = []

    def add(self, name: str, op: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        """Add an operation, and return its name."""
        lists = {key: AttrValue.ListValue(i=value) for key, value in attributes.items() if isinstance(value, list)}
        attr = {key: AttrValue(list=value) for key, value in lists.items()}
        attr |= {key: AttrValue(s=value.encode()) for key, value in attributes.items() if isinstance(value, str)}
        dimensions = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
        attr["_output_shapes"] = AttrValue(list=AttrValue.ListValue(shape=[dimensions]))
        self.nodes.append(NodeDef(name=name, op=op, input=inputs, attr=attr))
        return name

    def variables(self, layer: ConvLayer | DenseLayer) -> tuple[str, str]:
        """Add a layer's kernel and bias."""
        shapes = {"kernel": layer.kernel, "bias": layer.kernel[-1:]}
        kernel, bias = (self.add(f"{layer.name}/{part}", "VariableV2", [], shape) for part, shape in shapes.items())
        return kernel, bias


def graph_def(network: Network) -> GraphDef:
    """Return the graph from the images and labels to the cross-entropy and the accuracy."""
    graph, activation = Graph(), ACTIVATIONS[network.architecture.activation]
    labels = graph.add("input/labels", "Placeholder", [], [BATCH])
    images = graph.add("input/images", "Placeholder", [], [BATCH, *network.image_shape])
    highest = graph.add("input/255", "Const", [], [])
    x = graph.add("input/scaled", "RealDiv", [images, highest], [BATCH, *network.image_shape])
    for conv in network.conv_layers:
        x = _convolution(graph, conv, activation, x)
    flat = [BATCH, network.dense_layers[0].kernel[0]]
    x = graph.add("flatten/flatten", "Reshape", [x], flat)
    for dense in network.dense_layers:
        kernel, bias = graph.variables(dense)
        shape = [BATCH, *dense.output]
        x = graph.add(f"{dense.name}/MatMul", "MatMul", [x, kernel], shape)
        x = graph.add(f"{dense.name}/BiasAdd", "BiasAdd", [x, bias], shape)
        if dense is not network.dense_layers[-1]:
            x = graph.add(f"{dense.name}/{activation}", activation, [x], shape)
    each = graph.add("loss/cross_entropies", "SparseSoftmaxCrossEntropyWithLogits", [x, labels], [BATCH])
    graph.add("loss/cross_entropy", "Mean", [each], [])
    predicted = graph.add("accuracy/predicted", "ArgMax", [x], [BATCH])
    right = graph.add("accuracy/right", "Equal", [predicted, labels], [BATCH])
    graph.add("accuracy/accuracy", "Mean", [right], [])
    return GraphDef(node=graph.nodes, versions=VersionDef(producer=22))


def _convolution(graph: Graph, layer: ConvLayer, activation: str, x: str) -> str:
    """Add a convolution, its activation and its pool."""
    conv, before, after = layer.conv, [BATCH, *layer.convolved], [BATCH, *layer.output]
    kernel, bias = graph.variables(layer)
    strides, padding = [1, 1, 1, 1], conv.padding.upper()
    x = graph.add(f"{layer.name}/Conv2D", "Conv2D", [x, kernel], before, strides=strides, padding=padding)
    x = graph.add(f"{layer.name}/BiasAdd", "BiasAdd", [x, bias], before)
    x = graph.add(f"{layer.name}/{activation}", activation, [x], before)
    window, stride = [1, conv.pool_window, conv.pool_window, 1], [1, conv.pool_stride, conv.pool_stride, 1]
    op = POOLS[conv.pool]
    return graph.add(f"{layer.name}/{op}", op, [x], after, ksize=window, strides=stride, padding="SAME")
