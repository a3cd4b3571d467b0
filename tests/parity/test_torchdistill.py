"""Losses, and their gradients to the student, beside torchdistill's in float64.

Left out, since torchdistill's are other losses: CC (CCKDLoss compares kernels of whole
batches, ours neighbours, as in RepDistiller), FSP's distance (FSPLoss sums the lengths
of the columns, ours is a mean of squares) and FT with p = 2. SP is compared up to a
factor of each row. The losses of kdjax that are not here are not in torchdistill.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses

pytestmark = pytest.mark.parity

BATCH, CLASSES = 8, 10
MAPS = ((BATCH, 6, 6, 5), (BATCH, 6, 6, 5))
# Of other channels, which AT and SP can bear.
WIDER = ((BATCH, 6, 6, 5), (BATCH, 6, 6, 7))
POOLED = ((BATCH, 16), (BATCH, 24))
LOGITS = ((BATCH, CLASSES), (BATCH, CLASSES))

# Where they read a network's output, by the names that their classes have for it.
AT = {"io": "output", "path": "x"}
PAIR = {"pair": {"student": AT, "teacher": AT}}
MODULES = {f"{who}_module_path": "x" for who in ("student", "teacher")}
MODULES |= {f"{who}_module_io": "output" for who in ("student", "teacher")}
OUTPUTS = {f"{who}_output_path": "x" for who in ("student", "teacher")}
FACTORS = {"paraphraser_path": "x", "translator_path": "x"}

LABELS = np.arange(BATCH) % CLASSES
ALPHA, TAU = 0.1, 4.0


def with_labels(student, soft):
    """As KDLoss adds up cross entropy and a divergence."""
    hard = losses.cross_entropy(student, LABELS)
    return ALPHA * hard + (1 - ALPHA) * TAU**2 * soft


def kd(student, teacher):
    return with_labels(student, losses.kl_divergence(student, teacher, TAU))


def standardised_kd(student, teacher):
    s, t = losses.standardise(student), losses.standardise(teacher)
    return with_labels(student, losses.kl_divergence(s, t, TAU))


def dist(student, teacher):
    between = losses.dist_between_classes(student, teacher, TAU)
    within = losses.dist_within_class(student, teacher, TAU)
    return TAU**2 * (2.0 * between + 0.5 * within)


def summed_factors(student, teacher):
    """Theirs is the mean over entries; ours sums them, as the paper does."""
    entries = student[0].size
    return losses.factor_transfer(student, teacher, form="paper") / entries


def attention_paper(student, teacher):
    return losses.attention_transfer(student, teacher, form="paper")


SOFT = MODULES | {"temperature": TAU, "alpha": ALPHA}
RKD = OUTPUTS | {"reduction": "mean", "dist_factor": 0, "angle_factor": 0}
HINGE = {"feature_pairs": PAIR, "margin": 1.5, "reduction": "mean"}
# Name -> (ours, their class, its options, shapes of student and teacher).
CASES = {
    "kd": (kd, "KDLoss", SOFT, LOGITS),
    "standardised_kd": (standardised_kd, "LogitStdKDLoss", SOFT, LOGITS),
    "dist": (dist, "DISTLoss", MODULES | dict(beta=2.0, gamma=0.5, tau=TAU), LOGITS),
    "at": (losses.attention_transfer, "ATLoss", {"at_pairs": PAIR}, WIDER),
    "at_paper": (attention_paper, "ATLoss", {"at_pairs": PAIR, "mode": "paper"}, WIDER),
    "ft": (summed_factors, "FTLoss", FACTORS, MAPS),
    "ab": (
        lambda s, t: losses.activation_boundary(s, t, margin=1.5),
        "AltActTransferLoss",
        HINGE,
        MAPS,
    ),
    "rkd_distance": (
        losses.relational_distance,
        "RKDLoss",
        RKD | {"dist_factor": 1},
        POOLED,
    ),
    "rkd_angle": (
        losses.relational_angle,
        "RKDLoss",
        RKD | {"angle_factor": 1},
        POOLED,
    ),
    "pkt": (losses.probabilistic_knowledge, "PKTLoss", MODULES, POOLED),
}


def random(*shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def mean(loss):
    return lambda *arrays: jnp.mean(loss(*arrays))


def their(name, options):
    """A loss of torchdistill as a function of both outputs."""
    from torchdistill.losses import mid_level

    def call(student, teacher):
        import torch

        module = getattr(mid_level, name)(**options).double()
        outputs = ({"x": {"output": output}} for output in (student, teacher))
        return module(*outputs, torch.tensor(LABELS))

    return call


def turned(array, to):
    """Maps with their channels first or last."""
    axes = {"torch": (0, 3, 1, 2), "jax": (0, 2, 3, 1)}[to]
    return array.transpose(axes) if array.ndim == 4 else array


def agree(ours, theirs, *arrays, trained=1):
    """Both values, and the gradients of the first `trained` arrays, are equal."""
    import torch

    wanted = tuple(range(trained))
    value, gradients = jax.jit(jax.value_and_grad(ours, wanted))(*arrays)
    tensors = [torch.tensor(turned(array, "torch")).double() for array in arrays]
    for tensor in tensors[:trained]:
        tensor.requires_grad_()
    expected = theirs(*tensors).squeeze()
    expected.backward()
    expected = expected.item()
    assert expected != 0
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for gradient, tensor in zip(gradients, tensors[:trained], strict=True):
        reference = turned(tensor.grad.numpy(), "jax")
        scale = np.abs(reference).max()
        assert scale > 0
        np.testing.assert_allclose(gradient / scale, reference / scale, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_same_loss(case):
    ours, name, options, shapes = CASES[case]
    agree(mean(ours), their(name, options), *random(*shapes))


@pytest.mark.parametrize("case", ["rkd_distance", "rkd_angle", "pkt"])
def test_same_loss_where_two_samples_are_equal(case):
    ours, name, options, shapes = CASES[case]
    arrays = random(*shapes)
    for array in arrays:
        array[1] = array[0]
    agree(mean(ours), their(name, options), *arrays)


@pytest.mark.parametrize("shapes", [POOLED, WIDER])
def test_sp(shapes):
    """Theirs divides a row by the sum of its magnitudes, the paper by its length.

    Once its rows are divided by their length as well, the rest is the same.
    """
    import torch
    from torchdistill.losses.mid_level import SPKDLoss

    class OfTheLength(SPKDLoss):
        def matmul_and_normalize(self, z):
            return torch.nn.functional.normalize(super().matmul_and_normalize(z))

    module = OfTheLength(**OUTPUTS, reduction="batchmean")

    def theirs(student, teacher):
        return module({"x": {"output": student}}, {"x": {"output": teacher}})

    agree(mean(losses.similarity_preserving), theirs, *random(*shapes))


def test_hints():
    """As torchdistill is configured for FitNets, with PyTorch's own loss."""
    import torch

    options = {
        "low_level_loss": torch.nn.MSELoss(),
        "input": {"is_from_teacher": False, "module_path": "x", "io": "output"},
        "target": {"is_from_teacher": True, "module_path": "x", "io": "output"},
    }
    theirs = their("SimpleLossWrapper", options)
    agree(mean(losses.feature_mean_squared_error), theirs, *random(*MAPS))


@pytest.mark.parametrize("size", [1, 2, 4, 7, 8])
def test_reviewkd(size):
    """Down to 4, 2 and 1, in bins that overlap where they do not divide the map."""
    review = their("HierarchicalContextLoss", MODULES)

    def theirs(student, teacher):
        # Their fusion hands on its second output too.
        return review((student, None), teacher)

    shape = (BATCH, size, size, 5)
    agree(mean(losses.hierarchical_context), theirs, *random(shape, shape))


@pytest.mark.parametrize("width", [6, 3])
def test_flow_matrix(width):
    """Of maps of one size: the larger is pooled by its maximum there, its mean here."""
    import torch
    from torchdistill.losses.mid_level import FSPLoss

    first, second = random((BATCH, 6, width, 5), (BATCH, 6, width, 7))
    tensors = (torch.tensor(turned(maps, "torch")) for maps in (first, second))
    expected = FSPLoss.compute_fsp_matrix(*tensors).numpy()
    actual = losses.flow_matrix(first, second)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_vid():
    """The variance is as in their regressor, which needs torchvision."""
    vid = their("VIDLoss", {"feature_pairs": PAIR})

    def theirs(prediction, rho, teacher):
        variance = rho.exp().log1p() + 1e-5
        return vid((prediction, variance.view(1, -1, 1, 1)), teacher)

    prediction, teacher = random(*MAPS)
    rho = losses.vid_initial_rho(5.0) + np.linspace(-5, 1, 5, dtype=np.float32)
    rho = rho.astype(np.float32)
    ours = mean(losses.variational_information)
    agree(ours, theirs, prediction, rho, teacher, trained=2)


def test_crd():
    """Both sides, with the constants of the first batch, and the banks afterwards."""
    import torch
    from torchdistill.losses.mid_level import CRDLoss

    samples, channels, k = 64, 16, 24
    generator = np.random.default_rng(1)
    index = generator.permutation(samples)[:BATCH]
    negatives = generator.integers(0, samples, (BATCH, k))
    features = random((BATCH, channels), (BATCH, channels))
    features = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in features]
    torch.manual_seed(0)  # of the banks
    paths = ("student_norm_module_path", "student_empty_module_path")
    module = CRDLoss(
        **dict.fromkeys((*paths, "teacher_norm_module_path"), "x"),
        input_size=channels,
        output_size=samples,
        num_negative_samples=k,
        num_samples=samples,
    ).double()
    banks = [bank.float().numpy() for bank in (module.memory_v1, module.memory_v2)]
    rows = np.concatenate([index[:, None], negatives], axis=1)
    rows = {"pos_idx": torch.tensor(index), "contrast_idx": torch.tensor(rows)}

    def theirs(student, teacher):
        outputs = ({"x": {"output": x, "input": rows}} for x in (student, teacher))
        return module(*outputs)

    def side(anchor, bank):
        z = losses.contrastive_normaliser(anchor, bank, index, negatives)
        return losses.noise_contrastive(anchor, bank, index, negatives, z), z

    def ours(student, teacher):
        # The student's anchors with the teacher's bank, and the other way round.
        return jnp.mean(side(student, banks[1])[0] + side(teacher, banks[0])[0])

    agree(ours, theirs, *features, trained=2)
    z = [side(features[0], banks[1])[1], side(features[1], banks[0])[1]]
    np.testing.assert_allclose(z, module.params[2:4].detach().numpy(), rtol=1e-4)
    after = [module.memory_v1.numpy(), module.memory_v2.numpy()]
    for bank, feature, expected in zip(banks, features, after, strict=True):
        updated = losses.updated_bank(bank, index, feature, momentum=0.5)
        np.testing.assert_allclose(updated, expected, rtol=1e-4, atol=1e-6)
        assert not np.allclose(bank, expected)
