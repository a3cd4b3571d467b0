"""A ResNet as an ONNX graph, written node by node from its tensors.

The graph is the network's, not a trace's: convolutions with their batch norms folded
in, ReLUs, sums, one matrix product. Converters of whole JAX programs exist; the one
that is kept up, jax2onnx (0.17), asks for an Orbax older than the one of this project.
"""

import pathlib
from collections.abc import Mapping

import numpy as np

from kdjax.contracts import InputError
from kdjax.models.layers import BatchNorm

OPSET, IR = 17, 8  # of 2022: what runs ONNX today reads them
INSTALL = "pip install onnx onnxruntime"


def build(
    tensors: Mapping[str, np.ndarray],
    image_shape: tuple[int, ...],
    moments: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> bytes:
    """The file of a network whose tensors have torchvision's names.

    Args:
      tensors: by name, in PyTorch's layouts.
      image_shape: (height, width, channels).
      moments: (mean, standard deviation) a channel, of pixels from 0 to 1: the graph
        takes uint8 images and normalises them. None: normalised float32 images.

    Returns:
      A model from "images" [batch, height, width, channels] to "logits".

    Raises:
      InputError: the package onnx is not installed.
    """
    onnx, _ = _packages()
    graph = _Graph(onnx, tensors)
    x = graph.add("Transpose", _normalised(graph, moments), perm=[0, 3, 1, 2])
    logits = _network(graph, x)
    helper, types = onnx.helper, onnx.TensorProto
    kind = types.FLOAT if moments is None else types.UINT8
    graph.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    classes = tensors["fc.bias"].shape[0]
    made = helper.make_graph(
        graph.nodes,
        "kdjax",
        [helper.make_tensor_value_info("images", kind, ["batch", *image_shape])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", classes])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        made, opset_imports=opset, ir_version=IR, producer_name="kdjax"
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def call(file: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """What a file of `build` says of images, by ONNX Runtime."""
    _, runtime = _packages()
    session = runtime.InferenceSession(
        file.read_bytes(), providers=["CPUExecutionProvider"]
    )
    return session.run(["logits"], {"images": np.asarray(images)})[0]


class _Graph:
    """Nodes and constants while they are made; a node's name is its output's."""

    def __init__(self, onnx, tensors: Mapping[str, np.ndarray]):
        self.onnx, self.tensors = onnx, tensors
        self.nodes, self.constants = [], []

    def add(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        node = self.onnx.helper.make_node(kind, inputs, [name], name, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, name: str, values) -> str:
        array = np.ascontiguousarray(values, np.float32)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def conv(self, x: str, conv: str, norm: str, stride: int) -> str:
        """norm(conv(x)) as one convolution with a bias."""
        kernel, scale, bias, mean, var = (
            self.tensors[name].astype(np.float64)
            for name in (f"{conv}.weight", f"{norm}.weight", f"{norm}.bias")
            + (f"{norm}.running_mean", f"{norm}.running_var")
        )
        multiplier = scale / np.sqrt(var + BatchNorm.epsilon)
        kernel = self.constant(
            f"{conv}.weight", kernel * multiplier[:, None, None, None]
        )
        bias = self.constant(f"{conv}.bias", bias - mean * multiplier)
        side = self.tensors[f"{conv}.weight"].shape[-1]
        pads, strides = [side // 2] * 4, [stride] * 2
        return self.add("Conv", x, kernel, bias, pads=pads, strides=strides)


def _normalised(graph: _Graph, moments) -> str:
    if moments is None:
        return "images"
    mean, std = (np.asarray(values, np.float64) for values in moments)
    x = graph.add("Cast", "images", to=graph.onnx.TensorProto.FLOAT)
    x = graph.add("Sub", x, graph.constant("mean", 255 * mean))
    return graph.add("Div", x, graph.constant("std", 255 * std))


def _network(graph: _Graph, x: str) -> str:
    """From [b, c, h, w] to logits; stem and blocks are read off the tensors."""
    large = graph.tensors["conv1.weight"].shape[-1] == 7  # the stem of ImageNet
    x = graph.add("Relu", graph.conv(x, "conv1", "bn1", 2 if large else 1))
    if large:
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        x = graph.add("MaxPool", x, **window)
    parts = (name.split(".") for name in graph.tensors if name.startswith("layer"))
    places = {(int(part[0].removeprefix("layer")), int(part[1])) for part in parts}
    for stage, number in sorted(places):
        stride = 2 if stage > 1 and number == 0 else 1
        x = _block(graph, x, f"layer{stage}.{number}", stride)
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    head = [graph.constant(f"fc.{n}", graph.tensors[f"fc.{n}"]) for n in _HEAD]
    return graph.add("Gemm", pooled, *head, transB=1)


_HEAD = ("weight", "bias")


def _block(graph: _Graph, x: str, name: str, stride: int) -> str:
    """A basic block or a bottleneck, which has the stride in its 3x3 convolution."""
    count = 3 if f"{name}.conv3.weight" in graph.tensors else 2
    y = x
    for number in range(1, count + 1):
        own = stride if number == count - 1 else 1
        y = graph.conv(y, f"{name}.conv{number}", f"{name}.bn{number}", own)
        y = graph.add("Relu", y) if number < count else y
    if f"{name}.downsample.0.weight" in graph.tensors:
        x = graph.conv(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
    return graph.add("Relu", graph.add("Add", y, x))


def _packages():
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            f"--format=onnx needs the packages onnx and onnxruntime: {INSTALL}."
        ) from error
    return onnx, onnxruntime
