"""PyTorch's ResNets by the names of their tensors, in float64 NumPy: the other opinion.

Blocks, stages, bottlenecks and projections are read off the names; He et al., arXiv
1512.03385, with the stride in the 3x3 convolution. NCHW and OIHW, as in PyTorch.
"""

import numpy as np

EPSILON = 1e-5


def draw(
    seed, *, head, projection, channels=1, classes=10, widths=(16, 32, 64), stem=16
):
    """Tensors of a CIFAR ResNet with a basic block a stage; nothing stays 0 or 1.

    Args:
      head: what the classifier is called.
      projection: what projections are called; "" for none.
    """
    rng, tensors = np.random.default_rng(seed), {}

    def conv(name, outputs, inputs, side):
        scale = (inputs * side**2) ** -0.5
        tensors[f"{name}.weight"] = rng.normal(0, scale, (outputs, inputs, side, side))

    def norm(name, size):
        for leaf in ("weight", "bias", "running_mean"):
            tensors[f"{name}.{leaf}"] = rng.uniform(-0.3, 1.0, size)
        tensors[f"{name}.running_var"] = rng.uniform(0.5, 1.5, size)
        tensors[f"{name}.num_batches_tracked"] = np.array(7)

    conv("conv1", stem, channels, 3)
    norm("bn1", stem)
    inputs = stem
    for stage, width in enumerate(widths, start=1):
        block = f"layer{stage}.0"
        conv(f"{block}.conv1", width, inputs, 3)
        norm(f"{block}.bn1", width)
        conv(f"{block}.conv2", width, width, 3)
        norm(f"{block}.bn2", width)
        if projection and (stage > 1 or width != inputs):
            conv(f"{block}.{projection}.0", width, inputs, 1)
            norm(f"{block}.{projection}.1", width)
        inputs = width
    tensors[f"{head}.weight"] = rng.normal(0, 0.3, (classes, inputs))
    tensors[f"{head}.bias"] = rng.normal(0, 0.3, classes)
    return {
        name: tensor.astype(np.float32) if tensor.ndim else tensor
        for name, tensor in tensors.items()
    }


def logits(tensors, images):
    """Of images [b, h, w, c] with a 3x3 stem, in float64."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = relu(norm(tensors, "bn1", conv(tensors, "conv1", x, 1)))
    for stage, number in sorted({place(name) for name in tensors if "layer" in name}):
        stride = 2 if stage > 1 and number == 0 else 1
        x = relu(block(tensors, f"layer{stage}.{number}", x, stride))
    head = "fc" if "fc.weight" in tensors else "linear"
    weight, bias = (tensors[f"{head}.{leaf}"] for leaf in ("weight", "bias"))
    return x.mean((2, 3)) @ weight.astype(np.float64).T + bias


def place(name):
    stage, number = name.removeprefix("layer").split(".")[:2]
    return int(stage), int(number)


def block(tensors, name, x, stride):
    convs = [n for n in ("conv1", "conv2", "conv3") if f"{name}.{n}.weight" in tensors]
    strided = convs[-2]  # 3x3 of a bottleneck, the first of two otherwise
    y = x
    for n in convs:
        y = relu(y) if n != "conv1" else y
        y = conv(tensors, f"{name}.{n}", y, stride if n == strided else 1)
        y = norm(tensors, f"{name}.{n.replace('conv', 'bn')}", y)
    for projection in ("downsample", "shortcut"):
        if f"{name}.{projection}.0.weight" in tensors:
            short = conv(tensors, f"{name}.{projection}.0", x, stride)
            return y + norm(tensors, f"{name}.{projection}.1", short)
    short = x[:, :, ::stride, ::stride]
    pad = (y.shape[1] - x.shape[1]) // 2
    return y + np.pad(short, ((0, 0), (pad, pad), (0, 0), (0, 0)))


def conv(tensors, name, x, stride):
    weight = tensors[f"{name}.weight"].astype(np.float64)
    pad = weight.shape[-1] // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)


def norm(tensors, name, x):
    def leaf(which):
        return tensors[f"{name}.{which}"].astype(np.float64)[:, None, None]

    scale = leaf("weight") / np.sqrt(leaf("running_var") + EPSILON)
    return (x - leaf("running_mean")) * scale + leaf("bias")


def relu(x):
    return np.maximum(x, 0)
