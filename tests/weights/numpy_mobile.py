"""MobileNets and Wide ResNets by the names of PyTorch's packages, in float64 NumPy.

Howard et al., arXiv 1704.04861, table 1; Sandler et al., arXiv 1801.04381, table 2;
Zagoruyko & Komodakis, arXiv 1605.07146, figure 1b. NCHW and OIHW.
"""

import numpy as np

from tests.weights.numpy_resnet import conv, norm, relu


def fill(rng, shape):
    """A kernel (inputs before outputs) or a vector; float32 holds such networks well.

    Nothing stays 0 or 1, and some activations pass 6.
    """
    if len(shape) > 1:
        scale = (2 / np.prod(shape[:-1])) ** 0.5
        return rng.normal(0, scale, shape).astype(np.float32)
    return rng.uniform(0.3, 1.6, shape).astype(np.float32)


def mdistiller(tensors, images, activate=relu):
    """MobileNetV1: model.1 to model.13 are depthwise and 1x1; model.0 is the stem."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = activate(norm(tensors, "model.0.1", conv(tensors, "model.0.0", x, 2)))
    for index in range(1, 14):
        stride = 2 if index in (2, 4, 6, 12) else 1
        x = depthwise(tensors, f"model.{index}.0", x, stride)
        x = activate(norm(tensors, f"model.{index}.1", x))
        x = conv(tensors, f"model.{index}.3", x, 1)
        x = activate(norm(tensors, f"model.{index}.4", x))
    return dense(tensors, "fc", x)


def torchvision(tensors, images):
    """MobileNetV2: features.1 to features.17 between the stem and the last 1x1."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = relu6(norm(tensors, "features.0.1", conv(tensors, "features.0.0", x, 2)))
    for index in range(1, 18):
        name, stride = f"features.{index}.conv", 2 if index in (2, 4, 7, 14) else 1
        y = x
        if index > 1:
            y = conv(tensors, f"{name}.0.0", y, 1)
            y = relu6(norm(tensors, f"{name}.0.1", y))
        wide = f"{name}.{int(index > 1)}"
        y = depthwise(tensors, f"{wide}.0", y, stride)
        y = relu6(norm(tensors, f"{wide}.1", y))
        last = 1 + (index > 1)
        y = conv(tensors, f"{name}.{last}", y, 1)
        y = norm(tensors, f"{name}.{last + 1}", y)
        x = x + y if x.shape == y.shape else y
    x = conv(tensors, "features.18.0", x, 1)
    return dense(tensors, "classifier.1", relu6(norm(tensors, "features.18.1", x)))


def repdistiller(tensors, images):
    """Wide ResNets: three blocks of layers; the shortcut reads the activated input."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = conv(tensors, "conv1", x, 1)
    places = {tuple(n.split(".")[::2][:2]) for n in tensors if n.startswith("block")}
    for block, number in sorted(places):
        name = f"{block}.layer.{number}"
        stride = 2 if block != "block1" and number == "0" else 1
        activated = relu(norm(tensors, f"{name}.bn1", x))
        y = conv(tensors, f"{name}.conv1", activated, stride)
        y = conv(tensors, f"{name}.conv2", relu(norm(tensors, f"{name}.bn2", y)), 1)
        if f"{name}.convShortcut.weight" in tensors:
            x = conv(tensors, f"{name}.convShortcut", activated, stride)
        x = x + y
    return dense(tensors, "fc", relu(norm(tensors, "bn1", x)))


def depthwise(tensors, name, x, stride):
    weight = tensors[f"{name}.weight"].astype(np.float64)[:, 0]
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return np.einsum("bchwij,cij->bchw", windows[:, :, ::stride, ::stride], weight)


def dense(tensors, name, x):
    weight, bias = (tensors[f"{name}.{leaf}"] for leaf in ("weight", "bias"))
    return x.mean((2, 3)) @ weight.astype(np.float64).T + bias


def relu6(x):
    return np.clip(x, 0, 6)
