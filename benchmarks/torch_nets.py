"""Wide ResNets (arXiv:1605.07146) and ResNets in PyTorch, with what training needs.

Parameters have the names of those in tests/parity, which also keep features; a test
holds the two together. Those of ResNets (arXiv:1512.03385) are torchvision's.
"""

import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Unit(nn.Module):
    """Batch norm, ReLU, convolution, twice, plus the input or its projection."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.conv_shortcut = None if same else conv(inputs, outputs, 1, stride)

    def forward(self, x):
        activated = F.relu(self.norm1(x), inplace=True)
        y = self.conv1(activated)
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(activated))


class WideResNet(nn.Module):
    """WRN-depth-k: images [b, 3, h, w] to logits [b, classes]."""

    def __init__(self, depth, k, classes):
        super().__init__()
        widths = [16, 16 * k, 32 * k, 64 * k]
        self.stem_conv = conv(3, 16, 3)
        stages = []
        for number, (inputs, outputs) in enumerate(
            zip(widths[:-1], widths[1:], strict=True)
        ):
            units = [Unit(inputs, outputs, 2 if number else 1)]
            units += [Unit(outputs, outputs, 1) for _ in range((depth - 4) // 6 - 1)]
            stages.append(nn.Sequential(*units))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.BatchNorm2d(widths[3])
        self.head = nn.Linear(widths[3], classes)

    def forward(self, x):
        x = self.stem_conv(x)
        for stage in self.stages:
            x = stage(x)
        x = F.relu(self.norm(x), inplace=True)
        return self.head(x.mean((2, 3)))


class BasicBlock(nn.Module):
    """Two convolutions, each with its norm, and the ReLU after the sum."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            projection = conv(inputs, outputs, 1, stride)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


class ResNet(nn.Module):
    """ResNet-18 or 34 for ImageNet: images [b, 3, h, w] to logits [b, classes]."""

    BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}

    def __init__(self, depth, classes):
        super().__init__()
        self.conv1, self.bn1, inputs = conv(3, 64, 7, 2), nn.BatchNorm2d(64), 64
        for number, count in enumerate(self.BLOCKS[depth], start=1):
            outputs = 32 * 2**number
            blocks = [BasicBlock(inputs, outputs, 2 if number > 1 else 1)]
            blocks += [BasicBlock(outputs, outputs, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def network(name, classes):
    """Of a name that `flags.networks` has read."""
    kind, *numbers = name
    return (WideResNet if kind == "wrn" else ResNet)(*numbers, classes)
