"""RepDistiller's benchmark on CIFAR-100: networks, and what methods take for a pair.

Weights are those of RepDistiller where it has the method (tuned on one pair, the same
for all), else those of each method's public code. What a method's `build` has by
default is not repeated here.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from kdjax.contracts import nearest
from kdjax.methods import METHODS
from kdjax.models import MODELS
from kdjax.reproduce import studies

NAMES = {  # as RepDistiller and mdistiller call them -> as they are called here
    "wrn-40-2": "wrn_40_2",
    "wrn-40-1": "wrn_40_1",
    "wrn-16-2": "wrn_16_2",
    "resnet50": "resnet50_cifar",
    "mobilenetv2": "mobilenet_v2_half",
    "mobile_half": "mobilenet_v2_half",
    "shufflev1": "shufflenet_v1",
    "shufflenetv1": "shufflenet_v1",
    "shufflev2": "shufflenet_v2",
    "shufflenetv2": "shufflenet_v2",
}
FOUR_STAGES = ("resnet50_cifar", "mobilenet_v2_half", *(f"vgg{d}" for d in (8, 11, 13)))
FOUR_STAGES += ("vgg16", "vgg19")
SLOW = ("mobilenet_v2_half", "shufflenet_v1", "shufflenet_v2")  # learning rate .01
RATE, SLOW_RATE, EPOCHS = 0.05, 0.01, 240.0
KD = {"alpha": 0.9, "temperature": 4.0}
# Of methods where the benchmark's numbers have others than `build` by default.
SETTINGS = {
    "kd": KD,
    "dist": {"beta": 2.0, "gamma": 2.0, "temperature": 4.0},
    "reviewkd": {"weight": 5.0},
    "ea_kd": {"scale": "classes"},  # as its code has it on CIFAR-100
    "dtd_la": {
        k: v for k, v in studies.repdistiller()["dtd_la"].items() if k != "name"
    },
    "mse": {"alpha": 1.0},
}
WIDE, WIDE_THIN = ("wrn_40_2", "wrn_16_2"), ("wrn_40_2", "wrn_40_1")
R56, R110 = ("resnet56", "resnet20"), ("resnet110", "resnet32")
R110_20, R32X4 = ("resnet110", "resnet20"), ("resnet32x4", "resnet8x4")
VGG, VGG_MOBILE = ("vgg13", "vgg8"), ("vgg13", "mobilenet_v2_half")
R50_MOBILE = ("resnet50_cifar", "mobilenet_v2_half")
R32X4_V1 = ("resnet32x4", "shufflenet_v1")
R32X4_V2 = ("resnet32x4", "shufflenet_v2")
WIDE_V1 = ("wrn_40_2", "shufflenet_v1")
FIVE = (2.0, 1.5, 1.0, 0.5, 0.0)
# method -> pair -> arguments that were tuned for it, as far as they are published.
# ResNet-110 to ResNet-20 has those of ResNet-110 to ResNet-32. A pair without an entry
# has the arguments of SETTINGS or of `build`, which nobody tuned for it.
TUNED: dict[str, dict[tuple[str, str], dict]] = {
    "dkd": {
        **dict.fromkeys((WIDE, WIDE_THIN, VGG, VGG_MOBILE), {"beta": 6.0}),
        **dict.fromkeys((R56, R110, R110_20), {"beta": 2.0}),
    },
    "reviewkd": {
        R56: {"weight": 0.6},
        **dict.fromkeys((R110, R110_20), {"weight": 1.0}),
        R32X4_V2: {"weight": 8.0},
    },
    "lskd": {
        **dict.fromkeys((VGG, VGG_MOBILE), {"temperature": 3.0}),
        R50_MOBILE: {"temperature": 3.0, "weight": 1.0},
    },
    "mkl": {
        **dict.fromkeys((R56, R110, R110_20), {"weight": 2.0}),
        **dict.fromkeys((R32X4, R32X4_V1, R32X4_V2), {"factors": FIVE}),
    },
    "luminet": {
        WIDE_THIN: {"alpha": 75.0, "temperature": 8.0, "label_weight": 1.0},
        VGG: {"alpha": 11.0, "temperature": 2.0, "label_weight": 1.3},
        **dict.fromkeys((VGG_MOBILE, R50_MOBILE), {"alpha": 70.0, "temperature": 8.0}),
        WIDE_V1: {"alpha": 35.0},
    },
    "gdkd": {
        R56: {"w1": 1.0, "w2": 1.0},
        R110: {"w1": 1.0, "w2": 1.0},
        **dict.fromkeys((WIDE, WIDE_THIN, WIDE_V1), {"w1": 2.0, "w2": 6.0}),
        **dict.fromkeys((VGG, VGG_MOBILE), {"w1": 1.0, "w2": 6.0}),
        R32X4: {"w1": 2.0, "w2": 8.0},
        **dict.fromkeys((R32X4_V1, R32X4_V2, R50_MOBILE), {"w1": 1.0, "w2": 8.0}),
    },
    "cat_kd": {
        WIDE: {"weight": 12.0},
        WIDE_THIN: {"weight": 1.5},
        R56: {"weight": 0.7},
        R110: {"weight": 1.8},
        R32X4: {"weight": 15.0},
        VGG: {"weight": 4.5},
        VGG_MOBILE: {"weight": 15.0, "normalise": True},
        R50_MOBILE: {"weight": 40.0, "normalise": True},
        R32X4_V1: {"weight": 600.0, "normalise": True, "resolution": 4},
        R32X4_V2: {"weight": 600.0, "normalise": True, "resolution": 4},
        WIDE_V1: {"weight": 80.0, "normalise": True, "resolution": 4},
    },
}
# What "+NAME" attaches; the teacher's share is 1 where the host is not KD.
RULES = {
    "kd": KD | {"alpha": 1.0},
    "ka_ps": {"temperature": 4.0},
    "ka_lsr": {"temperature": 4.0, "epsilon": 0.1},
    "dtd_flsw": {"base": 10.0, "spread": 40.0, "gamma": 1.0},
    "dtd_cwsm": {"base": 10.0, "spread": 0.1},
    "dtd_la": SETTINGS["dtd_la"],
    "lr_kl": {"alpha": 1.0, "temperature": 4.0, "eta": 0.8},
    "ea_kd": SETTINGS["ea_kd"],
    "standardise": {},
}
FIELD = tuple(
    "kd fitnets at sp cc vid rkd pkt ab ft fsp nst kdsvd crd reviewkd ofd jacobian "
    "kdcl dkd dist lskd ttm wttm luminet nkd mkl ea_kd gdkd ctkd wkd_l wkd_f simkd "
    "cat_kd mlkd crld queue_kl rld rc mse ka_ps ka_lsr dtd_flsw dtd_cwsm dtd_la lr_mse "
    "lr_kl".split()
)
# MLKD's (learning rate, epochs), of its public code.
MLKD_ALIKE = (0.025, EPOCHS)
MLKD = {
    **dict.fromkeys((VGG_MOBILE, R50_MOBILE, WIDE_V1), (0.0025, 480.0)),
    **dict.fromkeys((R32X4_V1, R32X4_V2), (0.01, 480.0)),
}
# Whose classifier is on another map than the last stage's.
CLASSIFIED = dict.fromkeys(("mobilenet_v2_half", "shufflenet_v2"), "last_preact")
STAGE = re.compile(r"stage3(\D.*)?")


def split_argument(words: str) -> tuple[str, str, str, str]:
    """METHOD[+RULES],TEACHER,STUDENT as (method, rules or "", teacher, student).

    Raises:
      ValueError: another form, or a word that is not known; it says what is near.

    >>> split_argument("crd+kd,ResNet50,MobileNetV2")
    ('crd', 'kd', 'resnet50_cifar', 'mobilenet_v2_half')
    """
    words = words or "kd,resnet56,resnet20"
    if words.count(",") != 2:
        raise ValueError(
            f"{words!r} is not METHOD[+RULES],TEACHER,STUDENT; expected, for example, "
            "crd,resnet56,resnet20 or fitnets+dtd_la,resnet32x4,resnet8x4."
        )
    method, teacher, student = (word.strip() for word in words.split(","))
    method, plus, rules = method.partition("+")
    _check("method", method, FIELD)
    if plus:
        _check("rules after +", rules, tuple(RULES))
    return method, rules, network(teacher), network(student)


def network(word: str) -> str:
    """The name here of a network of the benchmark, under either name.

    Raises:
      ValueError: there is none; it says which is near.
    """
    name = NAMES.get(word.lower(), word)
    _check("network", name, tuple(MODELS), near=(*NAMES, *MODELS))
    return name


def training(method: str, teacher: str, student: str) -> tuple[float, float]:
    """(learning rate, epochs) of a student."""
    rate = SLOW_RATE if student in SLOW else RATE
    return (
        MLKD.get((teacher, student), MLKD_ALIKE) if method == "mlkd" else (rate, 240.0)
    )


def paraphraser_rate(student: str) -> float:
    """The learning rate of FT's first stage."""
    is_residual = student.startswith(("resnet", "wrn")) and student != "resnet50_cifar"
    return 0.01 if is_residual or student in SLOW else RATE


def method_section(name: str, rules: str, teacher: str, student: str) -> dict:
    """`config.method` of a method for a pair, under rules where they are named."""
    section = {"name": name} | SETTINGS.get(name, {})
    section |= TUNED.get(name, {}).get((teacher, student), {})
    build = METHODS[name].build
    section |= features(build, teacher, student)
    if name == "cat_kd" and student in CLASSIFIED:
        section["student_feature"] = CLASSIFIED[student]
    if name == "simkd" and student == "mobilenet_v2_half":
        section["student_feature"] = "stage4"  # a linear map, taken as it is
    if rules:
        section["supervisor"] = {"name": rules} | RULES[rules]
    return section


def features(build: Callable, teacher: str, student: str) -> dict[str, Any]:
    """Names of features where a network has four stages, not the three of `build`.

    All stages become one more, the last one stays the last, others stay: as in
    RepDistiller, where a method takes all stages, the last or the second.
    """
    changed = {}
    for name, parameter in inspect.signature(build).parameters.items():
        own = {"student": (student,), "teacher": (teacher,)}
        networks = own.get(name.partition("_")[0], (teacher, student))
        if all(network in FOUR_STAGES for network in networks):
            names = _four(parameter.default)
            if names != parameter.default:
                changed[name] = names
    return changed


def _four(names: Any) -> Any:
    """Of a string, or of a tuple of strings or of tuples."""
    if isinstance(names, str):
        return STAGE.sub(r"stage4\1", names) if STAGE.fullmatch(names) else names
    if not isinstance(names, tuple):
        return names
    if not all(isinstance(name, str) for name in names):
        return tuple(map(_four, names))
    result = []
    for name in names:
        earlier = name.replace("stage3", "stage2")
        if STAGE.fullmatch(name) and earlier in names:
            result.append(name)
        result.append(_four(name))
    return tuple(result)


def _check(what: str, word: str, names: tuple, near: tuple | Mapping = ()) -> None:
    if word not in names:
        raise ValueError(
            f"{word!r} is no {what} of this benchmark; expected one of "
            f"{', '.join(names)}.{nearest(word, near or names)}"
        )
