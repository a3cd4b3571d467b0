"""What is published for RepDistiller's 13 pairs on CIFAR-100, and where.

Top-1 in percent. RepDistiller's rows are of the last epoch of 240, by the protocol of
`studies.repdistiller_protocol`; others say where they depart from it. Two students
that differ by 0.5 are alike: seeds and software move a number by as much.
"""

from typing import NamedTuple

PAIRS = (  # (teacher, student), in the order of the README's two tables
    ("wrn_40_2", "wrn_16_2"),
    ("wrn_40_2", "wrn_40_1"),
    ("resnet56", "resnet20"),
    ("resnet110", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("vgg13", "mobilenet_v2_half"),
    ("resnet50_cifar", "mobilenet_v2_half"),
    ("resnet50_cifar", "vgg8"),
    ("resnet32x4", "shufflenet_v1"),
    ("resnet32x4", "shufflenet_v2"),
    ("wrn_40_2", "shufflenet_v1"),
)
LABELS = {  # networks trained on labels
    "wrn_40_2": 75.61,
    "resnet56": 72.34,
    "resnet110": 74.31,
    "resnet32x4": 79.42,
    "vgg13": 74.64,
    "resnet50_cifar": 79.34,
    "wrn_16_2": 73.26,
    "wrn_40_1": 71.98,
    "resnet20": 69.06,
    "resnet32": 71.14,
    "resnet8x4": 72.50,
    "vgg8": 70.36,
    "mobilenet_v2_half": 64.60,
    "shufflenet_v1": 70.50,
    "shufflenet_v2": 71.82,
}
README = "RepDistiller's README"
MDISTILLER = "mdistiller's README; resnet110 to resnet20: arXiv:2403.01427's README"
LSKD = "README of arXiv:2403.01427"
RLD = "arXiv:2408.07703, mean of 3 runs, read in a transcription, not verified"
UNVERIFIED = "README of its code or a third party's, not verified"


class Row(NamedTuple):
    """The numbers of a method, in the order of PAIRS; None where there is none."""

    source: str
    tuned: str  # whether its weights were tuned for each pair: "yes", "no", "not said"
    top1: tuple[float | None, ...]


def _row(source: str, tuned: str, numbers: str) -> Row:
    """Numbers as a README has them; "-" where it has none."""
    top1 = tuple(None if one == "-" else float(one) for one in numbers.split())
    return Row(source, tuned, top1)


_FIRST = {  # of RepDistiller's README
    "kd": "74.92 73.54 70.66 70.67 73.08 73.33 72.98 67.37 67.35 73.81 74.07 74.45 "
    "74.83",
    "fitnets": "73.58 72.24 69.21 68.99 71.06 73.50 71.02 64.14 63.16 70.69 73.59 "
    "73.54 73.73",
    "at": "74.08 72.77 70.55 70.22 72.31 73.44 71.43 59.40 58.58 71.84 71.73 72.73 "
    "73.32",
    "sp": "73.83 72.43 69.67 70.04 72.69 72.94 72.68 66.30 68.08 73.34 73.48 74.56 "
    "74.52",
    "cc": "73.56 72.21 69.63 69.48 71.48 72.97 70.71 64.86 65.43 70.25 71.14 71.29 "
    "71.38",
    "vid": "74.11 73.30 70.38 70.16 72.61 73.09 71.23 65.56 67.57 70.30 73.38 73.40 "
    "73.61",
    "rkd": "73.35 72.22 69.61 69.25 71.82 71.90 71.48 64.52 64.43 71.50 72.28 73.21 "
    "72.21",
    "pkt": "74.54 73.45 70.34 70.25 72.61 73.64 72.88 67.13 66.52 73.01 74.10 74.69 "
    "73.89",
    "ab": "72.50 72.38 69.47 69.53 70.98 73.17 70.94 66.06 67.20 70.65 73.55 74.31 "
    "73.34",
    "ft": "73.25 71.59 69.84 70.22 72.37 72.86 70.58 61.78 60.99 70.29 71.75 72.50 "
    "72.03",
    "fsp": "72.91 - 69.95 70.11 71.89 72.62 70.23 - - - - - -",
    "nst": "73.68 72.24 69.60 69.53 71.96 73.30 71.53 58.16 64.96 71.28 74.12 74.68 "
    "74.89",
    "crd": "75.48 74.14 71.16 71.46 73.48 75.51 73.94 69.73 69.11 74.30 75.11 75.65 "
    "76.05",
}
ROWS = {name: _row(README, "no", numbers) for name, numbers in _FIRST.items()} | {
    "crd+kd": _row(
        "CRD's paper, as READMEs of later papers quote it",
        "no",
        "75.64 74.38 71.63 71.56 73.75 75.46 74.29 69.94 69.54 74.58 75.12 76.05 76.27",
    ),
    "dkd": _row(
        MDISTILLER,
        "yes",
        "76.23 74.81 71.97 71.06 74.11 76.32 74.68 69.71 70.35 - 76.45 77.07 76.70",
    ),
    "reviewkd": _row(
        "its paper, as ITRD's README quotes it; batch 128, rate .1, Nesterov, best "
        "epoch",
        "yes",
        "76.12 75.09 71.89 - 73.89 75.63 74.85 70.37 69.89 - 77.45 77.78 77.14",
    ),
    "ofd": _row(
        "as the README of KD++ quotes it",
        "no",
        "- 74.33 70.98 - - 74.95 - - 69.04 - 75.98 76.82 -",
    ),
    "dist": _row(
        "as TTM's README quotes it",
        "no",
        "75.51 74.73 71.75 71.65 73.69 76.31 73.89 68.50 68.66 74.11 76.34 77.35 76.40",
    ),
    "lskd": _row(
        LSKD,
        "yes",
        "76.11 74.37 71.43 71.48 74.17 76.62 74.36 68.61 69.02 - - 75.56 -",
    ),
    "ctkd": _row(
        LSKD,
        "no",
        "75.45 73.93 71.19 70.99 73.52 73.39 73.52 68.50 68.67 - - 75.37 -",
    ),
    "mlkd": _row(
        f"{LSKD}; 480 epochs where teacher and student differ in kind",
        "no",
        "76.63 75.35 72.19 71.89 74.11 77.08 75.18 70.57 71.04 - - 78.44 -",
    ),
    "ttm": _row(
        "TTM's README",
        "yes",
        "76.23 74.32 71.83 71.46 73.97 76.17 74.33 68.98 69.24 74.87 74.18 76.57 75.39",
    ),
    "wttm": _row(
        "TTM's README",
        "yes",
        "76.37 74.58 71.92 71.67 74.13 76.06 74.44 69.16 69.59 74.82 74.37 76.55 75.42",
    ),
    "luminet": _row(
        "LumiNet's README",
        "yes",
        "76.38 75.12 72.29 - 74.20 77.50 74.94 70.50 70.97 - 76.66 77.55 76.95",
    ),
    "mkl": _row(
        "NTCE-KD's README",
        "yes",
        "76.58 74.92 72.16 - 74.41 76.91 74.89 70.13 70.52 - 76.81 77.10 77.01",
    ),
    "nkd": _row(UNVERIFIED, "not said", "75.43 - 71.18 - - 76.35 - - - - - - -"),
    "ea_kd": _row(UNVERIFIED, "no", "- - - - - 75.46 - - - - - - -"),
    "wkd_l": _row(
        f"{UNVERIFIED}; by CKA of the classes, the config has the classifier's cosines",
        "not said",
        "- - - - - 76.53 - - - - - - -",
    ),
    "wkd_f": _row(
        f"{UNVERIFIED}; its weight on CIFAR-100 could not be read",
        "not said",
        "- - - - - 76.77 - - - - - - -",
    ),
    "simkd": _row(UNVERIFIED, "no", "- - - - - 78.08 - - - - - - -"),
    "cat_kd": _row(UNVERIFIED, "yes", "75.60 - 71.62 - - 76.91 - - - - 78.26 - -"),
    "crld": _row(UNVERIFIED, "not said", "- - - - - 77.60 - - - - - - -"),
    "rld": _row(RLD, "no", "- 74.88 72.00 71.67 74.02 76.64 74.93 - - - - - -"),
    "rc": _row(RLD, "no", "- 74.07 71.63 71.41 73.44 74.68 73.37 - - - - - -"),
    "ka_ps": _row(RLD, "no", "- 73.75 71.24 70.86 73.39 73.46 73.51 - - - - - -"),
    "lr_mse": _row(RLD, "no", "- 74.42 70.74 70.61 73.52 76.06 74.66 - - - - - -"),
}


def top1(method: str, teacher: str, student: str) -> float | None:
    """The published number, or None.

    >>> top1("crd", "resnet56", "resnet20")
    71.16
    """
    if method not in ROWS or (teacher, student) not in PAIRS:
        return None
    return ROWS[method].top1[PAIRS.index((teacher, student))]


def table(teacher: str, student: str) -> str:
    """All numbers of a pair, best first, one a line; "" where there is none."""
    rows = [
        (number, name, ROWS[name])
        for name in ROWS
        if (number := top1(name, teacher, student)) is not None
    ]
    lines = [
        f"  {name:<10} {number:.2f}  tuned per pair: {row.tuned}; {row.source}"
        for number, name, row in sorted(rows, key=lambda one: -one[0])
    ]
    labels = ", ".join(
        f"{name} {LABELS[name]:.2f}" for name in (teacher, student) if name in LABELS
    )
    head = f"Published, top-1 in percent, {teacher} to {student}:"
    by_labels = f"  by labels: {labels}; {README}"
    return "\n".join([head, by_labels, *lines]) + "\n" if lines else ""
