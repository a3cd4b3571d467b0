"""Networks of the benchmark on CIFAR-100 in PyTorch, with the names of its files.

Written from the papers and from what RepDistiller (eedab9d) and mdistiller (e8c5bb3)
call their modules. `features` holds those of the last call.
"""

import torch
import torch.nn.functional as F
from torch import nn

from tests.parity.torch_models import conv


def conv_norm_relu(inputs, outputs, kernel, stride=1, groups=1):
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def shuffle(x, groups):
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class Features(nn.Module):
    def stage(self, stage, x, before):
        self.features |= {f"stage{stage}": x, f"stage{stage}_preact": before}

    def pooled(self, x):
        self.features["pooled"] = x.mean((2, 3))
        return self.features["pooled"]


class Vgg(Features):
    def __init__(self, groups, classes):
        super().__init__()
        inputs = 3
        for number, count in enumerate(groups):
            outputs, modules = min(64 * 2**number, 512), []
            for _ in range(count):
                modules += [nn.Conv2d(inputs, outputs, 3, padding=1)]
                modules += [nn.BatchNorm2d(outputs), nn.ReLU()]
                inputs = outputs
            self.add_module(f"block{number}", nn.Sequential(*modules[:-1]))
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x):
        self.features, large = {}, x.shape[2] >= 64
        for number in range(5):
            before = getattr(self, f"block{number}")(x)
            x = F.relu(before)
            if number == 0:
                self.features["stem"] = x
            else:
                self.stage(number, x, before)
            if number < 3 + large:
                x = F.max_pool2d(x, 2)
        return self.classifier(self.pooled(x))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide = expansion * inputs
        modules = conv_norm_relu(inputs, wide, 1)
        modules += conv_norm_relu(wide, wide, 3, stride, groups=wide)
        modules += conv_norm_relu(wide, outputs, 1)[:2]
        self.conv = nn.Sequential(*modules)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileHalf(Features):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Sequential(*conv_norm_relu(3, 16, 3, 2))
        self.blocks, inputs = nn.ModuleList(), 16
        rows = ((8, 1, 1), (12, 2, 1), (16, 3, 2), (32, 4, 2), (48, 3, 1))
        for row, (width, count, first) in enumerate((*rows, (80, 3, 2), (160, 1, 1))):
            blocks = []
            for number in range(count):
                stride = first if number == 0 else 1
                blocks.append(Inverted(inputs, width, stride, 6 if row else 1))
                inputs = width
            self.blocks.append(nn.Sequential(*blocks))
        self.conv2 = nn.Sequential(*conv_norm_relu(inputs, 1280, 1))
        self.classifier = nn.Sequential(nn.Linear(1280, classes))

    def forward(self, x):
        x = self.conv1(x)
        self.features = {"stem": x}
        for row, blocks in enumerate(self.blocks):
            x = blocks(x)
            if row in (1, 2, 4, 6):
                self.stage((1, 2, 4, 6).index(row) + 1, x, x)
        before = self.conv2[:2](x)
        x = F.relu(before)
        self.features |= {"last": x, "last_preact": before}
        return self.classifier(self.pooled(x))


class Numbered(nn.Module):
    """conv1, bn1, conv2, bn2, ... of (inputs, outputs, kernel, stride, groups)."""

    def __init__(self, *shapes):
        super().__init__()
        for number, shape in enumerate(shapes, start=1):
            convolution, norm, _ = conv_norm_relu(*shape)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", norm)

    def normed(self, number, x):
        return getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))


class Unit1(Numbered):
    def __init__(self, inputs, width, stride):
        outputs = width - inputs if stride == 2 else width
        inner, groups = outputs // 4, 1 if inputs == 24 else 3
        super().__init__(
            (inputs, inner, 1, 1, groups),
            (inner, inner, 3, stride, inner),
            (inner, outputs, 1, 1, 3),
        )
        self.groups, self.stride = groups, stride

    def forward(self, x):
        y = shuffle(F.relu(self.normed(1, x)), self.groups)
        y = self.normed(3, F.relu(self.normed(2, y)))
        if self.stride == 1:
            self.preact = x + y
        else:
            self.preact = torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1)
        return F.relu(self.preact)


class Down2(Numbered):
    def __init__(self, inputs, width):
        half = width // 2
        super().__init__(
            (inputs, inputs, 3, 2, inputs),
            (inputs, half, 1, 1, 1),
            (inputs, half, 1, 1, 1),
            (half, half, 3, 2, half),
            (half, half, 1, 1, 1),
        )

    def forward(self, x):
        left = F.relu(self.normed(2, self.normed(1, x)))
        right = self.normed(4, F.relu(self.normed(3, x)))
        return shuffle(torch.cat([left, F.relu(self.normed(5, right))], 1), 2)


class Split2(Numbered):
    def __init__(self, width):
        half = width // 2
        shapes = (half, half, 1, 1, 1), (half, half, 3, 1, half)
        super().__init__(*shapes, shapes[0])

    def forward(self, x):
        kept, y = x.chunk(2, 1)
        y = self.normed(3, self.normed(2, F.relu(self.normed(1, y))))
        self.preact = torch.cat([kept, y], 1)
        return shuffle(torch.cat([kept, F.relu(y)], 1), 2)


class Shuffle(Features):
    def __init__(self, version, classes):
        super().__init__()
        self.conv1, self.bn1, inputs = conv(3, 24, 1), nn.BatchNorm2d(24), 24
        widths = {1: (240, 480, 960), 2: (116, 232, 464)}[version]
        for stage, (width, count) in enumerate(
            zip(widths, (4, 8, 4), strict=True), start=1
        ):
            if version == 1:
                first = Unit1(inputs, width, 2)
                rest = [Unit1(width, width, 1) for _ in range(count - 1)]
            else:
                first = Down2(inputs, width)
                rest = [Split2(width) for _ in range(count - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = width
        if version == 2:
            self.conv2, self.bn2 = conv(inputs, 1024, 1), nn.BatchNorm2d(1024)
            inputs = 1024
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        self.features = {"stem": x}
        for number in (1, 2, 3):
            stage = getattr(self, f"layer{number}")
            x = stage(x)
            self.stage(number, x, stage[-1].preact)
        if hasattr(self, "conv2"):
            before = self.bn2(self.conv2(x))
            x = F.relu(before)
            self.features |= {"last": x, "last_preact": before}
        return self.linear(self.pooled(x))
