"""The networks of `layouts` as ONNX nodes, read off their arrays."""

from collections.abc import Callable, Iterator, Mapping

from kdjax.models.mobilenet_v1 import STAGES as FIRST
from kdjax.models.mobilenet_v2 import STAGES as SECOND
from kdjax.types import PyTree
from kdjax.weights import layouts, trees
from kdjax.weights.onnx_graphs import Graph

SIX = {"mobilenet_v1_relu6", "mobilenet_v2"}  # whose activation is ReLU6
MOBILENETS = ("mobilenet_v1", "mobilenet_v2")  # families of `layouts`


def builder(model: str, variables: tuple[PyTree, PyTree]) -> Callable | None:
    """What adds a network's nodes to a graph, for `onnx_graphs.build`.

    The name of the model says its activation, the variables say everything else. None
    for a network that is written otherwise, by `onnx_programs`.
    """
    shapes = {path: leaf.shape for path, leaf in trees.flatten(variables).items()}
    family = layouts.family(shapes)
    networks = {"resnet": _resnet, "wide_resnet": _wide_resnet}
    convolved = (networks | dict.fromkeys(MOBILENETS, _mobilenet)).get(family)
    if convolved is None or (family == "resnet" and _is_grouped(shapes)):
        return None
    activation = "Relu6" if model in SIX else "Relu"

    def build(graph: Graph, x: str) -> str:
        x = graph.add("GlobalAveragePool", convolved(graph, x, activation))
        return graph.dense(graph.add("Flatten", x), "head")

    return build


def _resnet(graph: Graph, x: str, activation: str) -> str:
    large = graph.shapes["params", "stem_conv", "kernel"][0] == 7  # of ImageNet
    x = graph.add("Relu", graph.conv(x, "stem_conv", "stem_norm", 2 if large else 1))
    if large:
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        x = graph.add("MaxPool", x, **window)
    for name, stride in _blocks(graph):
        y = _convolutions(graph, x, name, stride, activation)
        if graph.has(f"{name}/conv_shortcut"):
            x = graph.conv(x, f"{name}/conv_shortcut", f"{name}/norm_shortcut", stride)
        x = graph.add("Relu", graph.add("Add", y, x))
    return x


def _wide_resnet(graph: Graph, x: str, activation: str) -> str:
    """Activations first; a projection reads the activated input."""
    x = graph.conv(x, "stem_conv", "", 1)
    for name, stride in _blocks(graph):
        activated = graph.add("Relu", graph.norm(x, f"{name}/norm1"))
        y = graph.conv(activated, f"{name}/conv1", f"{name}/norm2", stride)
        y = graph.conv(graph.add("Relu", y), f"{name}/conv2", "", 1)
        if graph.has(f"{name}/conv_shortcut"):
            x = graph.conv(activated, f"{name}/conv_shortcut", "", stride)
        x = graph.add("Add", x, y)
    return graph.add("Relu", graph.norm(x, "norm"))


def _mobilenet(graph: Graph, x: str, activation: str) -> str:
    second = graph.has("last_conv")
    stages = SECOND if second else FIRST
    x = graph.activate(activation, graph.conv(x, "stem_conv", "stem_norm", 2))
    for name, stride in _blocks(graph, [stage[2] for stage in stages]):
        y = _convolutions(graph, x, name, stride, activation, depthwise=True)
        inputs = graph.shapes["params", name, "conv1", "kernel"][2]
        inverted = graph.has(f"{name}/conv3")
        outputs = graph.shapes["params", name, "conv3", "kernel"][3] if inverted else 0
        fits = inverted and stride == 1 and inputs == outputs
        x = graph.add("Add", x, y) if fits else y
        x = x if second else graph.activate(activation, x)
    if second:
        x = graph.activate(activation, graph.conv(x, "last_conv", "last_norm", 1))
    return x


def _blocks(graph: Graph, strides=()) -> Iterator[tuple[str, int]]:
    """(name, stride) of every block; strides of stages are 1 and then 2 by default."""
    for stage, block in layouts.blocks(graph.shapes):
        own = strides[stage - 1] if strides else min(stage, 2)
        yield f"stage{stage}_block{block}", own if block == 1 else 1


def _convolutions(
    graph: Graph, x: str, name: str, stride: int, activation: str, depthwise=False
) -> str:
    """Two or three with norms, the last but one 3x3, without the last activation."""
    count = 3 if graph.has(f"{name}/conv3") else 2
    for number in range(1, count + 1):
        spatial = number == count - 1
        conv, norm = f"{name}/conv{number}", f"{name}/norm{number}"
        own = stride if spatial else 1
        x = graph.conv(x, conv, norm, own, depthwise and spatial)
        x = graph.activate(activation, x) if number < count else x
    return x


def _is_grouped(shapes: Mapping[layouts.Path, tuple[int, ...]]) -> bool:
    """Whether the second convolution of a block reads fewer channels than there are."""
    block = ("params", "stage1_block1")
    kernels = [shapes[(*block, f"conv{number}", "kernel")] for number in (1, 2)]
    return kernels[0][3] != kernels[1][2]
