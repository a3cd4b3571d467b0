"""The architectures once more, in PyTorch, written from the papers: the other opinion.

Post-activation networks use torchvision's parameter names, so one converter serves
these and timm's. The wide networks have names of their own.
"""

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, kernel, stride=1):
    pad = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=pad, bias=False)


class WideUnit(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.conv_shortcut = None if same else conv(inputs, outputs, 1, stride)

    def forward(self, x):
        activated = F.relu(self.norm1(x))
        shortcut = self.conv_shortcut(activated) if self.conv_shortcut else x
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(activated))))


class WideResNet(nn.Module):
    """WRN-depth-k; `features` holds the raw stage outputs of the last call."""

    def __init__(self, depth, k, classes):
        super().__init__()
        widths = [16, 16 * k, 32 * k, 64 * k]
        self.stem_conv = conv(3, 16, 3)
        self.stages = nn.ModuleList()
        for stage in range(3):
            inputs, outputs = widths[stage], widths[stage + 1]
            units = [WideUnit(inputs, outputs, 1 if stage == 0 else 2)]
            for _ in range((depth - 4) // 6 - 1):
                units.append(WideUnit(outputs, outputs, 1))
            self.stages.append(nn.Sequential(*units))
        self.norm = nn.BatchNorm2d(widths[3])
        self.head = nn.Linear(widths[3], classes)

    def forward(self, x):
        x = self.stem_conv(x)
        self.features = {"stem": x}
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            self.features[f"stage{number}"] = x
        next_norms = [self.stages[1][0].norm1, self.stages[2][0].norm1, self.norm]
        if not self.training:  # a second pass would move the statistics twice
            for number, norm in enumerate(next_norms, start=1):
                normed = norm(self.features[f"stage{number}"])
                self.features[f"stage{number}_preact"] = normed
        pooled = F.adaptive_avg_pool2d(F.relu(self.norm(x)), 1).flatten(1)
        self.features["pooled"] = pooled
        return self.head(pooled)


class Unit(nn.Module):
    """Basic or bottleneck unit with the ReLU after the sum."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            shapes = [(inputs, width, 1, 1), (width, width, 3, stride)]
            shapes += [(width, outputs, 1, 1)]
        else:
            shapes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        for number, shape in enumerate(shapes, start=1):
            self.add_module(f"conv{number}", conv(*shape))
            self.add_module(f"bn{number}", nn.BatchNorm2d(shape[1]))
        self.depth = len(shapes)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = x
        for number in range(1, self.depth + 1):
            y = F.relu(y) if number > 1 else y
            convolve, norm = (
                getattr(self, f"conv{number}"),
                getattr(self, f"bn{number}"),
            )
            y = norm(convolve(y))
        self.preact = y + (self.downsample(x) if self.downsample else x)
        return F.relu(self.preact)


class ResNet(nn.Module):
    def __init__(self, stem, widths, units, classes, *, large, bottleneck=False):
        super().__init__()
        self.large = large
        self.conv1 = conv(3, stem, 7, 2) if large else conv(3, stem, 3)
        self.bn1 = nn.BatchNorm2d(stem)
        inputs = stem
        for stage, (width, count) in enumerate(
            zip(widths, units, strict=True), start=1
        ):
            layer = []
            for unit in range(count):
                stride = 2 if stage > 1 and unit == 0 else 1
                layer.append(Unit(inputs, width, stride, bottleneck))
                inputs = 4 * width if bottleneck else width
            self.add_module(f"layer{stage}", nn.Sequential(*layer))
        self.stages = len(widths)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        self.features = {"stem": x}
        if self.large:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in range(1, self.stages + 1):
            layer = getattr(self, f"layer{stage}")
            x = layer(x)
            self.features |= {
                f"stage{stage}": x,
                f"stage{stage}_preact": layer[-1].preact,
            }
        self.features["pooled"] = x.mean((2, 3))
        return self.fc(self.features["pooled"])


def randomise(model, seed):
    """Random weights, scales of both signs, random statistics: nothing stays 0 or 1."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, low, high):
        with torch.no_grad():
            tensor.uniform_(low, high, generator=generator)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            draw(module.weight, -((3 / fan_in) ** 0.5), (3 / fan_in) ** 0.5)
        elif isinstance(module, nn.Linear):
            draw(module.weight, -0.1, 0.1)
            draw(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            draw(module.weight, -0.4, 1.0)
            draw(module.bias, -0.3, 0.3)
            draw(module.running_mean, -0.3, 0.3)
            draw(module.running_var, 0.5, 1.5)
    return model
