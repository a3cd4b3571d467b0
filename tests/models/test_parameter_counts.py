"""Parameter counts of every model: two independent answers, tables and arithmetic.

Nothing is computed but shapes. The sums below are written from the papers' block
diagrams and share no line with the modules; the table says where a number is published.
"""

import math
import re

import jax
import jax.numpy as jnp
import pytest

from kdjax.models import MODELS, create

ARITHMETIC = "the sums of this file only"
SUMS_OF_CODE = "the sums of this file only, of RepDistiller's models/ at eedab9d"
ZOO = "model zoo of osmr/imgclsmob, CIFAR tables"
TORCHVISION = "torchvision's model pages, num_params"
TIMM = "timm's benchmark tables, param_count 4.23; arXiv 1704.04861 says 4.2 million"
PUBLIC = "printed by independent public PyTorch runs"

# name -> (classes, parameters, source)
COUNTS = {
    "wrn_16_1": (100, 180_916, ARITHMETIC),
    "wrn_16_2": (100, 703_284, PUBLIC),
    "wrn_16_4": (100, 2_772_020, ARITHMETIC),
    "wrn_16_6": (100, 6_206_772, ARITHMETIC),
    "wrn_28_2": (100, 1_479_220, ARITHMETIC),
    "wrn_28_4": (100, 5_872_180, ARITHMETIC),
    "wrn_40_1": (100, 569_780, ARITHMETIC),
    "wrn_40_2": (100, 2_255_156, PUBLIC),
    "wrn_40_6": (100, 20_152_116, ARITHMETIC),
    "resnet8": (100, 83_892, ARITHMETIC),
    "resnet14": (100, 181_108, ARITHMETIC),
    "resnet20": (100, 278_324, ZOO),
    "resnet32": (100, 472_756, ARITHMETIC),
    "resnet44": (100, 667_188, ARITHMETIC),
    "resnet56": (100, 861_620, ZOO),
    "resnet110": (100, 1_736_564, ZOO),
    "resnet8x4": (100, 1_233_540, ARITHMETIC),
    "resnet32x4": (100, 7_433_860, PUBLIC),
    "resnet18": (1000, 11_689_512, TORCHVISION),
    "resnet34": (1000, 21_797_672, TORCHVISION),
    "resnet50": (1000, 25_557_032, TORCHVISION),
    "resnet101": (1000, 44_549_160, TORCHVISION),
    "resnet152": (1000, 60_192_808, TORCHVISION),
    "resnext50_32x4d": (1000, 25_028_904, TORCHVISION),
    "resnext101_32x8d": (1000, 88_791_336, TORCHVISION),
    "wide_resnet50_2": (1000, 68_883_240, TORCHVISION),
    "wide_resnet101_2": (1000, 126_886_696, TORCHVISION),
    "resnet18d": (1000, 11_708_744, ARITHMETIC),
    "resnet34d": (1000, 21_816_904, ARITHMETIC),
    "resnet50d": (1000, 25_576_264, ARITHMETIC),
    "resnet101d": (1000, 44_568_392, ARITHMETIC),
    "resnet18_cifar": (100, 11_220_132, PUBLIC),
    "resnet34_cifar": (100, 21_328_292, PUBLIC),
    "resnet50_cifar": (100, 23_705_252, PUBLIC),
    "mobilenet_v1": (1000, 4_231_976, TIMM),
    "mobilenet_v1_relu6": (1000, 4_231_976, TIMM),
    "mobilenet_v2": (1000, 3_504_872, TORCHVISION),
    "mobilenet_v2_half": (100, 812_836, SUMS_OF_CODE),
    "shufflenet_v1": (100, 949_258, SUMS_OF_CODE),
    "shufflenet_v2": (100, 1_355_528, SUMS_OF_CODE),
    "vgg8": (100, 3_965_028, SUMS_OF_CODE),
    "vgg11": (100, 9_277_284, SUMS_OF_CODE),
    "vgg13": (100, 9_462_180, SUMS_OF_CODE),
    "vgg16": (100, 14_774_436, SUMS_OF_CODE),
    "vgg19": (100, 20_086_692, SUMS_OF_CODE),
}


def count(name, classes, side=32, channels=3, **rest):
    network = create(name, num_classes=classes, **rest)
    images = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    params, _ = jax.eval_shape(network.init, jax.random.key(0), images)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def wide(depth, k, classes):
    """Pre-activation: a norm before each convolution, projections without norm."""
    total, before = 3 * 9 * 16, 16
    for width in (16 * k, 32 * k, 64 * k):
        for _ in range((depth - 4) // 6):
            total += 2 * before + 9 * before * width + 2 * width + 9 * width * width
            total += before * width if before != width else 0
            before = width
    return total + 2 * before + before * classes + classes


def residual(
    stem, kernel, widths, blocks, classes, bottleneck=False, groups=1, base=64, d=False
):
    """Post-activation: a norm after each convolution, projections included."""
    total, before = 3 * kernel**2 * stem + 2 * stem, stem
    if d:  # three convolutions, of 32, 32 and 64 channels
        total = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64)
    for stage, (width, repeats) in enumerate(zip(widths, blocks, strict=True)):
        after = 4 * width if bottleneck else width
        for block in range(repeats):
            if bottleneck:
                inner = width * base // 64 * groups
                total += before * inner + 9 * inner**2 // groups + inner * after
                total += 2 * (inner + inner + after)
            else:
                total += 9 * before * width + 9 * width**2 + 4 * width
            if before != after or (stage > 0 and block == 0):
                total += before * after + 2 * after
            before = after
    return total + before * classes + classes


def mobile_v1(classes):
    """Table 1 of arXiv 1704.04861: a norm after each depthwise and each 1x1."""
    pointwise = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    total, before = 27 * 32 + 2 * 32, 32
    for after in pointwise:
        total += 9 * before + 2 * before + before * after + 2 * after
        before = after
    return total + before * classes + classes


def mobile_v2(classes):
    """Table 2 of arXiv 1801.04381: expansion t, channels c, repeats n."""
    total, before = 27 * 32 + 2 * 32, 32
    rows = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4))
    for t, c, n in (*rows, (6, 96, 3), (6, 160, 3), (6, 320, 1)):
        for _ in range(n):
            inner = t * before
            total += (before * inner + 2 * inner) * (t > 1)
            total += 9 * inner + 2 * inner + inner * c + 2 * c
            before = c
    total += before * 1280 + 2 * 1280
    return total + 1280 * classes + classes


def mobile_v2_half(classes):
    """The same at half width; the first row is expanded by 1."""
    total, before = 27 * 16 + 2 * 16, 16
    rows = ((1, 8, 1), (6, 12, 2), (6, 16, 3), (6, 32, 4))
    for t, c, n in (*rows, (6, 48, 3), (6, 80, 3), (6, 160, 1)):
        for _ in range(n):
            inner = t * before
            total += before * inner + 2 * inner
            total += 9 * inner + 2 * inner + inner * c + 2 * c
            before = c
    total += before * 1280 + 2 * 1280
    return total + 1280 * classes + classes


def shuffle_v1(classes):
    """3 groups; where images are halved the input comes behind the output."""
    total, before = 3 * 24 + 2 * 24, 24
    for width, repeats in ((240, 4), (480, 8), (960, 4)):
        for block in range(repeats):
            after = width - before if block == 0 else width
            inner, groups = after // 4, 1 if before == 24 else 3
            total += before * inner // groups + 2 * inner
            total += 9 * inner + 2 * inner
            total += inner * after // 3 + 2 * after
            before = width
    return total + before * classes + classes


def shuffle_v2(classes):
    """Two branches where images are halved, else one of half of the channels."""
    total, before = 3 * 24 + 2 * 24, 24
    for width, repeats in ((116, 4), (232, 8), (464, 4)):
        half = width // 2
        total += 9 * before + 2 * before + before * half + 2 * half
        total += before * half + 2 * half + 9 * half + 2 * half + half * half + 2 * half
        total += (repeats - 1) * (2 * (half * half + 2 * half) + 9 * half + 2 * half)
        before = width
    total += before * 1024 + 2 * 1024
    return total + 1024 * classes + classes


def vgg(depth, classes):
    """Convolutions with bias, each with a norm; one linear layer."""
    groups = {
        8: (1, 1, 1, 1, 1),
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }[depth]
    total, before = 0, 3
    for width, repeats in zip((64, 128, 256, 512, 512), groups, strict=True):
        for _ in range(repeats):
            total += 9 * before * width + width + 2 * width
            before = width
    return total + before * classes + classes


OTHERS = {
    "mobilenet_v2_half": mobile_v2_half,
    "shufflenet_v1": shuffle_v1,
    "shufflenet_v2": shuffle_v2,
}


def by_arithmetic(name, classes):
    if name in OTHERS:
        return OTHERS[name](classes)
    if name.startswith("vgg"):
        return vgg(int(name.removeprefix("vgg")), classes)
    if name.startswith("mobilenet"):
        return {"1": mobile_v1, "2": mobile_v2}[name[len("mobilenet_v")]](classes)
    if name.startswith("wrn"):
        depth, k = map(int, name.split("_")[1:])
        return wide(depth, k, classes)
    more = {"d": True} if re.fullmatch(r"resnet\d+d", name) else {}
    if match := re.fullmatch(r"resnext(\d+)_(\d+)x(\d+)d", name):
        name, more = f"resnet{match[1]}", {"groups": int(match[2])}
        more["base"] = int(match[3])
    if match := re.fullmatch(r"wide_resnet(\d+)_2", name):
        name, more = f"resnet{match[1]}", {"base": 128}
    name = name.removesuffix("d")
    depth = int(name.removeprefix("resnet").removesuffix("_cifar").split("x")[0])
    stages = {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
    }
    if depth in stages:
        kernel = 3 if name.endswith("_cifar") else 7
        widths = (64, 128, 256, 512)
        given = (64, kernel, widths, stages[depth], classes, depth >= 50)
        return residual(*given, **more)
    repeats = ((depth - 2) // 6,) * 3
    if name.endswith("x4"):
        return residual(32, 3, (64, 128, 256), repeats, classes)
    return residual(16, 3, (16, 32, 64), repeats, classes)


def test_the_table_is_complete():
    assert set(COUNTS) | {"wide_resnet"} == set(MODELS)


@pytest.mark.parametrize("name", COUNTS)
def test_count(name):
    classes, expected, _ = COUNTS[name]
    assert count(name, classes) == expected
    assert by_arithmetic(name, classes) == expected


# Zagoruyko & Komodakis, table 4 (millions), and the zoo's exact number for CIFAR-10.
@pytest.mark.parametrize(
    ("depth", "width", "millions"),
    [(40, 1, 0.6), (40, 4, 8.9), (40, 8, 35.7), (16, 8, 11.0), (28, 10, 36.5)],
)
def test_wide_resnets_of_the_paper(depth, width, millions):
    exact = count("wide_resnet", 10, depth=depth, width=width)
    assert exact == wide(depth, width, 10)
    assert exact / 1e6 == pytest.approx(millions, abs=0.06)


def test_wide_resnet_40_8_has_the_zoos_exact_number():
    assert count("wide_resnet", 10, depth=40, width=8) == 35_748_314


def test_grey_images_save_two_thirds_of_the_stem_and_size_changes_nothing():
    assert count("wrn_16_2", 10) - count("wrn_16_2", 10, channels=1) == 2 * 9 * 16
    assert count("resnet18", 10, side=64) == count("resnet18", 10)


def test_widths_and_width_agree():
    by_widths = count("wide_resnet", 10, depth=16, widths=(32, 64, 128))
    assert by_widths == count("wrn_16_2", 10)
