"""VGG, MobileNetV2 of half width and ShuffleNets of the benchmark on CIFAR-100.

By the names that RepDistiller's and mdistiller's files have, in float64 NumPy; CRD,
arXiv 1910.10699. NCHW and OIHW, images of 32x32.
"""

import numpy as np

from tests.weights.numpy_mobile import dense, depthwise
from tests.weights.numpy_resnet import conv, norm, relu


def vgg(tensors, images):
    """block0 to block4 of convolution, norm and ReLU; pools after the first three."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    for group in range(5):
        index = 0
        while f"block{group}.{index}.weight" in tensors:
            x = conv(tensors, f"block{group}.{index}", x, 1)
            x = x + tensors[f"block{group}.{index}.bias"][:, None, None]
            x = relu(norm(tensors, f"block{group}.{index + 1}", x))
            index += 3
        if group < 3:
            rows = np.maximum(x[:, :, ::2], x[:, :, 1::2])
            x = np.maximum(rows[..., ::2], rows[..., 1::2])
    return dense(tensors, "classifier", x)


def mobilenet_v2_half(tensors, images):
    """blocks.0 to blocks.6, the rows of arXiv 1801.04381's table 2."""
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = relu(norm(tensors, "conv1.1", conv(tensors, "conv1.0", x, 2)))
    for row, repeats in enumerate((1, 2, 3, 4, 3, 3, 1)):
        for number in range(repeats):
            name = f"blocks.{row}.{number}.conv"
            stride = 2 if row in (2, 3, 5) and number == 0 else 1
            y = relu(norm(tensors, f"{name}.1", conv(tensors, f"{name}.0", x, 1)))
            y = relu(
                norm(tensors, f"{name}.4", depthwise(tensors, f"{name}.3", y, stride))
            )
            y = norm(tensors, f"{name}.7", conv(tensors, f"{name}.6", y, 1))
            x = x + y if stride == 1 and x.shape == y.shape else y
    x = relu(norm(tensors, "conv2.1", conv(tensors, "conv2.0", x, 1)))
    return dense(tensors, "classifier.0", x)


def shufflenet_v1(tensors, images):
    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = relu(norm(tensors, "bn1", conv(tensors, "conv1", x, 1)))
    for stage, repeats in enumerate((4, 8, 4), start=1):
        for number in range(repeats):
            name, stride = f"layer{stage}.{number}", 2 if number == 0 else 1
            groups = 1 if x.shape[1] == 24 else 3
            y = grouped(tensors, f"{name}.conv1", x, groups)
            y = shuffled(relu(norm(tensors, f"{name}.bn1", y)), groups)
            y = depthwise(tensors, f"{name}.conv2", y, stride)
            y = relu(norm(tensors, f"{name}.bn2", y))
            y = norm(tensors, f"{name}.bn3", grouped(tensors, f"{name}.conv3", y, 3))
            if stride == 1:
                x = relu(x + y)
            else:
                x = relu(np.concatenate([y, average3x3(x)], axis=1))
    return dense(tensors, "linear", x)


def shufflenet_v2(tensors, images):
    def pointwise(x, name, number):
        y = conv(tensors, f"{name}.conv{number}", x, 1)
        return relu(norm(tensors, f"{name}.bn{number}", y))

    def spatial(x, name, number, stride):
        y = depthwise(tensors, f"{name}.conv{number}", x, stride)
        return norm(tensors, f"{name}.bn{number}", y)

    x = images.astype(np.float64).transpose(0, 3, 1, 2)
    x = relu(norm(tensors, "bn1", conv(tensors, "conv1", x, 1)))
    for stage, repeats in enumerate((4, 8, 4), start=1):
        for number in range(repeats):
            name = f"layer{stage}.{number}"
            if number == 0:
                one = pointwise(spatial(x, name, 1, 2), name, 2)
                two = spatial(pointwise(x, name, 3), name, 4, 2)
                two = pointwise(two, name, 5)
            else:
                half = x.shape[1] // 2
                one = x[:, :half]
                two = spatial(pointwise(x[:, half:], name, 1), name, 2, 1)
                two = pointwise(two, name, 3)
            x = shuffled(np.concatenate([one, two], axis=1), 2)
    x = relu(norm(tensors, "bn2", conv(tensors, "conv2", x, 1)))
    return dense(tensors, "linear", x)


def grouped(tensors, name, x, groups):
    """A 1x1 convolution, output by output."""
    weight = tensors[f"{name}.weight"].astype(np.float64)[:, :, 0, 0]
    outputs, inputs = weight.shape
    y = np.empty((x.shape[0], outputs, *x.shape[2:]))
    for output in range(outputs):
        first = output // (outputs // groups) * inputs
        part = x[:, first : first + inputs]
        y[:, output] = np.tensordot(weight[output], part, ([0], [1]))
    return y


def shuffled(x, groups):
    """Channel j of group i goes to place j groups + i."""
    size = x.shape[1] // groups
    order = [i * size + j for j in range(size) for i in range(groups)]
    return x[:, order]


def average3x3(x):
    """Of stride 2; the zeros around count, as in PyTorch's AvgPool2d."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return windows[:, :, ::2, ::2].mean((4, 5))
