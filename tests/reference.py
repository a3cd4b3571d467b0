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


def label_revision(plain, target, labels, eta):
    """beta target + (1 - beta) e_y with beta = eta / (max p - p_y + 1) of p = plain."""
    rows = []
    for p, q, y in zip(plain, target, labels, strict=True):
        beta = eta / (max(p) - p[y] + 1)
        rows.append(beta * np.asarray(q) + (1 - beta) * np.eye(len(q))[y])
    return np.array(rows)


def revised(target, labels, eta):
    """label_revision with the beta of the target itself; no eta leaves it."""
    return target if eta is None else label_revision(target, target, labels, eta)


def label_revision_parts(student, teacher, labels, selection, eta=0.8):
    """Means of cross entropy, of (s - t)^2 and of (softmax(s) - revised)^2, each over
    the samples it is for: not selected or right, selected and right, selected and
    wrong."""
    s, t = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    plain, parts = softmax(t), ([], [], [])
    hard = cross_entropy(s, one_hot(labels, s.shape[-1]))
    revised = label_revision(plain, plain, labels, eta)
    for i, y in enumerate(labels):
        right = np.argmax(t[i]) == y
        if right or not selection[i]:
            parts[0].append(hard[i])
        if selection[i] and right:
            parts[1].append(np.mean((s[i] - t[i]) ** 2))
        if selection[i] and not right:
            parts[2].append(np.mean((softmax(s[i : i + 1])[0] - revised[i]) ** 2))
    return [np.mean(part) if part else 0.0 for part in parts]


# Which labels are clean: one class at a time, by the full singular value decomposition.


def leanings(features, basis):
    """|<v_1, h>| and |<v_2, h>|, v from the rows that basis names."""
    h = np.asarray(features, np.float64)
    v = np.linalg.svd(h[basis])[2]
    return np.abs(h @ v[0]), np.abs(h @ v[1])


def best_split(values):
    """All thresholds tried: True above the one with the least within-group squares."""
    cuts = np.unique(values)[1:]

    def squares(cut):
        low, high = values[values < cut], values[values >= cut]
        return ((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum()

    return values >= min(cuts, key=squares)


def mixture_of_two(values, high, *, steps, tolerance, floor):
    """Expectation maximisation from a first partition; p(high | value).

    Ends after `steps`, or the step before which the mean log-likelihood had changed by
    less than `tolerance`.
    """
    x = np.asarray(values, np.float64)

    def maximise(share):
        count = share.sum(1)
        mean = (share * x).sum(1) / count
        square = (share * (x - mean[:, None]) ** 2).sum(1) / count
        return count / len(x), mean, square + floor

    def expect(weight, mean, square):
        density = np.exp(-((x - mean[:, None]) ** 2) / (2 * square[:, None]))
        density *= (weight / np.sqrt(2 * np.pi * square))[:, None]
        return density / density.sum(0), np.log(density.sum(0)).mean()

    fit, before = maximise(np.stack([~high, high]).astype(np.float64)), -np.inf
    for _ in range(steps):
        share, now = expect(*fit)
        fit = maximise(share)
        if abs(now - before) < tolerance:
            break
        before = now
    return expect(*fit)[0][np.argmax(fit[1])]


def shifted(rows, logits, labels):
    """The entries of the label and of the largest logit swapped."""
    rows = np.array(rows, np.float64)
    for row, t, y in zip(rows, logits, labels, strict=True):
        m = int(np.argmax(t))
        row[y], row[m] = float(row[m]), float(row[y])
    return rows


def smoothed_where_wrong(target, logits, labels, epsilon):
    """(1 - eps) e_y + eps / K where argmax t != y."""
    target = np.array(target, np.float64)
    smooth = (1 - epsilon) * np.eye(target.shape[-1]) + epsilon / target.shape[-1]
    for row, t, y in zip(target, logits, labels, strict=True):
        if np.argmax(t) != y:
            row[:] = smooth[y]
    return target


def confusion(student, teacher, gamma=1.0, epsilon=0.0):
    """(1 - <s, t> / (||s|| ||t||))^gamma, epsilon added to each length; 0 / 0 is 0."""
    s, t = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    lengths = [np.sqrt((z**2).sum(-1)) + epsilon for z in (s, t)]
    product = lengths[0] * lengths[1]
    cosine = (s * t).sum(-1) / np.where(product == 0, 1, product)
    return np.maximum(1 - cosine, 0) ** gamma


def confusion_of_probabilities(student, teacher, gamma=1.0):
    """(1 - <softmax(s), softmax(t)>)^gamma."""
    return (1 - (softmax(student) * softmax(teacher)).sum(-1)) ** gamma


def unsureness(student):
    """1 / (max_k softmax(s)_k + 0.001)."""
    return 1 / (softmax(student).max(-1) + 0.001)


def dynamic_temperature(w, base, spread, lowest=-np.inf):
    """max(lowest, tau_0 + (mean w - w_x) beta)."""
    return np.array([max(lowest, base + (np.mean(w) - x) * spread) for x in w])


def dynamic_loss(student, target, temperature):
    """tau_x^2 KL(target || softmax(s / tau_x)), one temperature a sample."""
    return temperature**2 * kl_to_target(student, target, temperature)


def generalized_cross_entropy(student, labels, q):
    """(1 - p_y^q) / q."""
    p_label = np.exp(-cross_entropy(student, one_hot(labels, np.shape(student)[-1])))
    return (1 - p_label**q) / q


def reverse_cross_entropy(student, labels, log_zero=-4.0):
    """- sum_k p_k log clip(y_k, e^A, 1), p from 1e-7 to 1."""
    p = np.clip(softmax(student), 1e-7, 1)
    y = np.clip(one_hot(labels, p.shape[-1]), np.exp(log_zero), 1)
    return -(p * np.log(y)).sum(-1)


def early_learning(student, remembered):
    """log(1 - <t, p>), p from 1e-4 to 1 - 1e-4; and p over its sum."""
    p = np.clip(softmax(student), 1e-4, 1 - 1e-4)
    return np.log(1 - (remembered * p).sum(-1)), p / p.sum(-1, keepdims=True)
