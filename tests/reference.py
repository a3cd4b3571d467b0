"""What the equations say, in float64 NumPy; where that cancels, in 60-digit decimals.

Written from the papers, not from kdjax: sums and loops as printed there, no tricks.
GOLDEN_* is the worked example of three samples and four classes that tests share.
"""

import decimal

import numpy as np

GOLDEN_STUDENT = np.float32(
    [[1.0, -0.5, 2.0, 0.3], [0.2, 1.5, -1.0, 0.4], [-0.3, 0.1, 0.6, 2.2]]
)
GOLDEN_TEACHER = np.float32(
    [[3.0, 0.5, 1.0, -1.0], [0.0, 2.5, -2.0, 1.0], [0.5, -1.0, 2.0, 1.8]]
)
GOLDEN_LABELS = np.array([2, 1, 3], np.int32)
for shared in (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS):
    shared.setflags(write=False)
# tau^2 KL(teacher || student) per sample; every digit printed is right.
GOLDEN_KL = {
    0.5: [0.503525, 0.016727, 0.318507],
    1.0: [0.834645, 0.088884, 0.375024],
    3.0: [0.998573, 0.230126, 0.438059],
    4.0: [0.994714, 0.250179, 0.448783],
    5.0: [0.989208, 0.261405, 0.455358],
    20.0: [0.959590, 0.288758, 0.474842],
    100.0: [0.948798, 0.293887, 0.479745],
    1e4: [0.945966, 0.294989, 0.480926],
}
GOLDEN_LOGIT_MATCHING = [0.945938, 0.295000, 0.480938]
PRINTED = 0.51e-6  # half a unit of the last digit printed


def softmax(logits, temperature=1.0):
    z = np.asarray(logits, np.float64) / np.reshape(temperature, (-1, 1))
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def one_hot(labels, classes):
    return np.eye(classes)[np.asarray(labels)]


def cross_entropy(student, target):
    """- sum_k y_k log p_k(1)."""
    z = np.asarray(student, np.float64)
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -(np.asarray(target, np.float64) * log_p).sum(-1)


def kl_to_target(student, target, temperature):
    """sum_k y_k log(y_k / p_k(tau)), where 0 log 0 = 0."""
    y = np.asarray(target, np.float64)
    entropy = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0)), 0.0).sum(-1)
    scaled = np.asarray(student, np.float64) / np.reshape(temperature, (-1, 1))
    return entropy + cross_entropy(scaled, y)


def kl_divergence(student, teacher, temperature):
    """KL and its gradient in the student's logits, (p^s(tau) - p^t(tau)) / tau."""
    with decimal.localcontext(decimal.Context(prec=60)):
        rows = [
            _decimal_kl(s, t, decimal.Decimal(float(temperature)))
            for s, t in zip(student, teacher, strict=True)
        ]
    return np.array([kl for kl, _ in rows]), np.array(
        [gradient for _, gradient in rows]
    )


def _decimal_kl(student, teacher, temperature):
    def log_softmax(row):
        z = [decimal.Decimal(float(x)) / temperature for x in row]
        normaliser = sum((x - max(z)).exp() for x in z).ln() + max(z)
        return [x - normaliser for x in z]

    log_q, log_p = log_softmax(student), log_softmax(teacher)
    kl = sum(a.exp() * (a - b) for a, b in zip(log_p, log_q, strict=True))
    slope = [
        (b.exp() - a.exp()) / temperature for a, b in zip(log_p, log_q, strict=True)
    ]
    return float(kl), [float(x) for x in slope]


def logit_matching(student, teacher):
    """||d||^2 / 2K + delta_inf, delta_inf = -(sum_j s_j - sum_j t_j)^2 / 2K^2."""
    s, t = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    classes = s.shape[-1]
    delta = -((s.sum(-1) - t.sum(-1)) ** 2) / (2 * classes**2)
    return ((s - t) ** 2).sum(-1) / (2 * classes) + delta


def logit_matching_gradient(student, teacher):
    """1/K^2 sum_j [(s_k - s_j) - (t_k - t_j)]: Theorem 1, first limit."""
    s, t = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    pairs = (s[:, :, None] - s[:, None, :]) - (t[:, :, None] - t[:, None, :])
    return pairs.sum(-1) / s.shape[-1] ** 2


def label_matching_gradient(student, teacher):
    """1[argmax s = k] - 1[argmax t = k]: Theorem 1, second limit."""
    classes = np.shape(student)[-1]
    return one_hot(np.argmax(student, -1), classes) - one_hot(
        np.argmax(teacher, -1), classes
    )
