"""A network as an ONNX graph, written node by node from its arrays, norms folded in.

Of the networks that are asked for most: ONNX Runtime takes 0.6 (MobileNetV2) to 0.95
(WRN-40-2) of the time that it takes for what `onnx_programs`, which writes any other,
makes of them (jax2onnx 0.17.1, onnxruntime 1.32, one thread of a CPU).
"""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from kdjax.contracts import InputError
from kdjax.models.layers import BatchNorm
from kdjax.paths.files import text_of
from kdjax.types import PyTree
from kdjax.weights import layouts, trees

OPSET, IR = 17, 8  # of 2022: what runs ONNX today reads them
INSTALL = "pip install onnx onnxruntime"


def build(
    variables: tuple[PyTree, PyTree],
    image_shape: tuple[int, ...],
    network: Callable[["Graph", str], str],
    moments: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The file of a network, from "images" [b, height, width, channels] to "logits".

    `network` adds its nodes, from the name of images [b, c, h, w] to that of logits.
    `moments` are (mean, standard deviation) a channel, of pixels from 0 to 1, for a
    graph that takes uint8 images; None: normalised float32 images.
    """
    onnx, _ = _packages()
    graph = Graph(onnx, variables)
    helper, types = onnx.helper, onnx.TensorProto
    x = "images"
    if moments is not None:
        mean, std = (np.asarray(values, np.float64) for values in moments)
        x = graph.add("Cast", x, to=types.FLOAT)
        x = graph.add("Sub", x, graph.constant("mean", 255 * mean))
        x = graph.add("Div", x, graph.constant("std", 255 * std))
    logits = network(graph, graph.add("Transpose", x, perm=[0, 3, 1, 2]))
    kind = types.FLOAT if moments is None else types.UINT8
    graph.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    classes = graph.arrays["params", "head", "bias"].shape[0]
    graph_proto = helper.make_graph(
        graph.nodes,
        "kdjax",
        [helper.make_tensor_value_info("images", kind, ["batch", *image_shape])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", classes])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph_proto, opset_imports=opset, ir_version=IR, producer_name="kdjax"
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def call(file: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """The logits of a file of `build`, by ONNX Runtime."""
    _, runtime = _packages()
    providers = ["CPUExecutionProvider"]
    session = runtime.InferenceSession(file.read_bytes(), providers=providers)
    return session.run(["logits"], {"images": np.asarray(images)})[0]


def describe(where: str, content: bytes) -> str:
    """What a graph takes and gives; InputError where it cannot be read. Runs none."""
    import onnx

    def array(value) -> str:  # as JAX writes it: uint8[batch,32,32,3]
        tensor = value.type.tensor_type
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        sides = [str(side.dim_param or side.dim_value) for side in tensor.shape.dim]
        return f"{kind}[{','.join(sides)}]"

    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf or ONNX: it may hold anything
        raise InputError(f"{where}: not an ONNX graph: {text_of(error)}.") from error
    ends = (model.graph.input, model.graph.output)
    taken, given = (" and ".join(map(array, one)) for one in ends)
    opset = next(one.version for one in model.opset_import if not one.domain)
    return f"an ONNX graph, opset {opset}: {taken} -> {given}"


class Graph:
    """Nodes, named by their outputs, and constants; modules are stage1_block1/conv1."""

    def __init__(self, onnx, variables: tuple[PyTree, PyTree]):
        self.onnx = onnx
        self.arrays = {k: np.asarray(v) for k, v in trees.flatten(variables).items()}
        self.shapes = {path: array.shape for path, array in self.arrays.items()}
        self.nodes, self.constants = [], []

    def has(self, conv: str) -> bool:
        return ("params", *conv.split("/"), "kernel") in self.arrays

    def add(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        node = self.onnx.helper.make_node(kind, inputs, [name], name, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, name: str, values) -> str:
        array = np.array(values, np.float32, order="C")  # scalars stay scalars
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def activate(self, kind: str, x: str) -> str:
        """Relu or Relu6."""
        if kind == "Relu":
            return self.add("Relu", x)
        least = self.constant(f"least{len(self.nodes)}", 0.0)
        most = self.constant(f"most{len(self.nodes)}", 6.0)
        return self.add("Clip", x, least, most)

    def conv(
        self, x: str, conv: str, norm: str, stride: int, depthwise: bool = False
    ) -> str:
        """norm(conv(x)) as one convolution with a bias; norm "" for none."""
        kernel = self._array("params", conv, "kernel")  # HWIO
        multiplier, offset = self._affine(norm) if norm else (1.0, None)
        folded = layouts.to_torch(kernel * multiplier)
        inputs = [x, self.constant(f"{conv}/kernel", folded)]
        if offset is not None:
            inputs.append(self.constant(f"{conv}/bias", offset))
        side, features = kernel.shape[0], kernel.shape[-1]
        window = {"pads": [side // 2] * 4, "strides": [stride] * 2}
        groups = features if depthwise else 1
        return self.add("Conv", *inputs, group=groups, **window)

    def norm(self, x: str, norm: str) -> str:
        """A batch norm by itself."""
        multiplier, offset = self._affine(norm)
        multiplier = self.constant(f"{norm}/multiplier", multiplier[:, None, None])
        offset = self.constant(f"{norm}/offset", offset[:, None, None])
        return self.add("Add", self.add("Mul", x, multiplier), offset)

    def dense(self, x: str, dense: str) -> str:
        kernel, bias = (self._array("params", dense, n) for n in ("kernel", "bias"))
        kernel = self.constant(f"{dense}/kernel", kernel)
        return self.add("Gemm", x, kernel, self.constant(f"{dense}/bias", bias))

    def _array(self, collection: str, module: str, leaf: str) -> np.ndarray:
        return self.arrays[collection, *module.split("/"), leaf].astype(np.float64)

    def _affine(self, norm: str) -> tuple[np.ndarray, np.ndarray]:
        scale, bias = (self._array("params", norm, n) for n in ("scale", "bias"))
        mean, var = (self._array("batch_stats", norm, n) for n in ("mean", "var"))
        multiplier = scale / np.sqrt(var + BatchNorm.epsilon)
        return multiplier, bias - mean * multiplier


def _packages():
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            f"--format=onnx needs the packages onnx and onnxruntime: {INSTALL}."
        ) from error
    return onnx, onnxruntime
