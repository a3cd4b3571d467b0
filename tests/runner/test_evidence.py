"""What a report says of networks, computed from their checkpoints by NumPy."""

import shutil

import numpy as np
import pytest
from scipy import special

from kdjax import checkpoints
from kdjax.analysis.outputs import Compared
from kdjax.data.load import load_split
from kdjax.data.noise import NOISES
from kdjax.experiment import builders, schema
from kdjax.reporting.blocks import Gallery, Table
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import read_runs
from kdjax.runner import evidence, outputs
from kdjax.runner.compared import baselines, compare
from kdjax.runner.evidence import TITLE
from kdjax.runner.members import Member, Run, one_of_each
from kdjax.runner.outputs import Images
from tests import networks
from tests.runner.evidence_runs import (
    METHODS,
    coarse,
    copied,
    logits,
    pixels,
    train_runs,
    variables,
)

pytestmark = pytest.mark.usefixtures("own_networks")


@pytest.fixture(scope="module")
def root(data_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp("evidence")
    train_runs(root, data_dir)
    return root


def compared(*workdirs, most=10_000, keep=False) -> tuple[Compared, list[str]]:
    """What `compare` gives, and what was left out."""
    said = []

    def left_out(what, why):
        said.append(f"{what}: {why}")

    members, _ = one_of_each(make_groups(read_runs(list(workdirs))), left_out)
    images = Images(
        load_split("fashion_mnist_subset", "test[:100]"), most, None, "test"
    )
    return compare(members, images, left_out, keep), said


def evidence_sections(workdirs, **options):
    return evidence.evidence_sections(read_runs(workdirs), **options)


@pytest.fixture(scope="module")
def test_images():
    return load_split("fashion_mnist_subset", "test[:100]")


def test_outputs_are_those_of_the_checkpoints(root, test_images):
    result, said = compared(root / "teacher", root / "students")
    assert list(result.networks) == ["teacher", "ce", "kd", "lr"] and not said
    assert result.teacher_of == dict.fromkeys(("ce", "kd", "lr"), "teacher")
    assert result.baseline_of == {"kd": "ce", "lr": "ce"}
    a, b, c = result.three_classes
    shown = np.isin(test_images.label, (a, b, c))
    places = {"teacher": ("teacher", "ce"), "lr": ("students", "lr")}
    for name, (workdir, student) in places.items():
        outputs = result.networks[name]
        expected = logits(root / workdir, student, test_images.image)
        np.testing.assert_allclose(outputs.logits, expected, rtol=1e-4, atol=1e-4)
        features = pixels(test_images.image)
        norms = np.sqrt((features**2).sum(1))
        np.testing.assert_allclose(outputs.feature_norms, norms, rtol=1e-5)
        kernel, _ = variables(root / workdir, student)
        # Distances in the plane are those of the features projected onto it.
        plane = np.stack([kernel[:, b] - kernel[:, a], kernel[:, c] - kernel[:, a]], 1)
        onto = plane @ np.linalg.pinv(plane)
        flat = features[shown] @ onto.T
        gaps = np.linalg.norm(flat - flat[0], axis=1)
        own = np.linalg.norm(outputs.points - outputs.points[0], axis=1)
        np.testing.assert_allclose(own, gaps, rtol=1e-3, atol=1e-3)


def test_an_even_part_of_the_images(root, test_images):
    result, _ = compared(root / "students", most=40)
    rows = np.linspace(0, 99, 40).round().astype(int)
    np.testing.assert_array_equal(result.labels, test_images.label[rows])
    expected = logits(root / "students", "kd", test_images.image[rows])
    np.testing.assert_allclose(result.networks["kd"].logits, expected, atol=1e-4)
    assert result.images == "40 of 100 test images, evenly spaced"


def test_an_ensemble_teaches_by_its_mean(root, test_images):
    result, said = compared(root / "of_both", root / "students")
    assert result.teacher_of["of_both"] != result.teacher_of["kd"]
    teacher = result.networks[result.teacher_of["of_both"]]
    both = [logits(root / n, "ce", test_images.image) for n in ("teacher", "second")]
    np.testing.assert_allclose(teacher.logits, np.mean(both, 0), atol=1e-4)
    norms = np.sqrt(2 * (pixels(test_images.image) ** 2).sum(1))
    np.testing.assert_allclose(teacher.feature_norms, norms, rtol=1e-5)
    assert teacher.points is None and result.networks["of_both"].points is not None


def test_a_second_report_runs_no_network(root, tmp_path, monkeypatch, capsys):
    for name in ("teacher", "students"):
        copied(root / name, tmp_path / name)
    workdirs = [tmp_path / "teacher", tmp_path / "students"]
    first = evidence_sections(workdirs)
    # The copied teacher is the teacher, wherever it lies.
    titles = [section.title for section in first]
    assert len(titles) == 7 and titles[-1] == "Targets that a rule changed"
    assert "left out" not in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.delattr(outputs, "answerer")
        assert evidence_sections(workdirs) == first
    assert not capsys.readouterr().err
    damaged = tmp_path / "students" / "analysis" / "student-kd-test.npz"
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert evidence_sections(workdirs) == first
    assert "student-kd-test.npz: computed again" in capsys.readouterr().err


def test_what_is_kept_of_other_weights_is_not_taken(root, tmp_path):
    run = copied(root / "students", tmp_path / "run")
    other = copied(root / "of_both", tmp_path / "other")
    right = compared(run, keep=True)[0].networks["kd"].logits
    alien = compared(other, keep=True)[0].networks["other"].logits
    kept = "analysis/student-kd-test.npz"
    np.testing.assert_array_equal(np.load(other / kept)["logits"], alien)
    shutil.copy(other / kept, run / kept)
    again = compared(run, keep=True)[0].networks["kd"].logits
    np.testing.assert_array_equal(again, right)
    assert not np.array_equal(alien, right)


def test_trials_of_one_program_answer_as_its_students(root, test_images, capsys):
    titles = [section.title for section in evidence_sections([root / "sweep"])]
    assert len(titles) == 7 and titles[-1] == "Targets that a rule changed"
    assert "left out" not in capsys.readouterr().err
    result, _ = compared(root / "sweep", keep=True)
    assert list(result.networks) == ["teacher", "ce", "kd", "lr"]
    assert result.baseline_of == {"kd": "ce", "lr": "ce"}
    for name in METHODS:
        expected = logits(root / "students", name, test_images.image)
        own = result.networks[name].logits
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)


def test_networks_of_ones_own_are_named_once_with_what_to_type(root, tmp_path, capsys):
    run = copied(root / "students", tmp_path / "run")
    code = "tests.networks:coarse"
    token = builders._allowed.set(frozenset())
    try:
        (section,) = evidence_sections([run])
    finally:
        builders._allowed.reset(token)
    (line,) = section.blocks
    assert line.startswith("Left out: the comparison with the teacher · ce · kd · lr")
    assert line.endswith(f"add to the command: --allow_code={code}")
    assert f"left out: kd: {run}: model.name is '{code}'" in capsys.readouterr().err


def test_networks_without_features_are_named_with_what_to_type(
    root, tmp_path, monkeypatch, capsys
):
    run = copied(root / "second", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(networks, "coarse", networks.coarse_without_features)
        for _ in range(2):  # the second time of what is kept
            (section,) = evidence_sections([run])
            (line,) = section.blocks
            assert line.startswith("Left out: norms of the features and the three")
            assert "classes of run: no feature 'pooled'" in line
            assert "from_linen(module, features={'pooled': PATH})" in line
            assert line.removeprefix("Left out: ") in capsys.readouterr().err
    # The same weights with a name for the features.
    titles = [section.title for section in evidence_sections([run])]
    assert titles == ["Norms of the features", "Three classes as the networks see them"]


def test_gains_are_over_networks_that_were_trained_as_long(root, tmp_path):
    run = copied(root / "students", tmp_path / "run")
    config = coarse("")
    members = {
        name: Member(Run(run, meta), name)
        for meta in [checkpoints.read_meta(run / "checkpoints")[0]]
        for name in METHODS
    }
    said = []
    same = baselines(members, lambda *words: said.append(words))
    assert same == {"kd": "ce", "lr": "ce"} and not said
    data = members["kd"].run.meta["data"]
    renamed = {"data": data | {"train": data["train"] | {"name": "another"}}}
    members["kd"] = Member(Run(run, members["kd"].run.meta | renamed), "kd")
    assert baselines(members, lambda *words: said.append(words)) == same and not said
    longer = members["kd"].run.meta | {"config": schema.resolved(config)}
    members["kd"] = Member(Run(run, longer), "kd")
    assert baselines(members, lambda *words: said.append(words)) == {"lr": "ce"}
    assert [what for what, _ in said] == ["gains and losses of kd"]


def test_a_run_without_a_teacher(root, capsys):
    titles = [section.title for section in evidence_sections([root / "second"])]
    assert titles == ["Norms of the features", "Three classes as the networks see them"]
    assert capsys.readouterr().err in ("", "second: runs on 100 images\n")


def test_revised_targets(root):
    section = evidence_sections([root / "students"])[-1]
    train = load_split("fashion_mnist_subset", "train[:256]")
    t = logits(root / "teacher", "ce", train.image)
    label, rows = train.label, np.arange(256)
    q, soft = special.softmax(t, 1), special.softmax(t / 4, 1)
    beta = 0.7 / (q.max(1) - q[rows, label] + 1)
    target = beta[:, None] * soft
    target[rows, label] += 1 - beta
    wrong = int((t.argmax(1) != label).sum())
    changed = target.argmax(1) != t.argmax(1)
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert table.rows == [("lr", "256", str(wrong), str(changed.sum()))]
    assert 0 < changed.sum() == wrong  # the label comes out on top
    gallery = next(block for block in section.blocks if isinstance(block, Gallery))
    surest = np.argmax(np.where(changed, soft.max(1), 0))
    name, own = train.class_names[label[surest]], target[surest].max()
    assert gallery.images[0].caption.startswith(f"{name} · teacher: ")
    assert gallery.images[0].caption.endswith(f"→ {name} {100 * own:.0f}\xa0%")


def test_selections_with_scores_and_true_labels(root):
    section = evidence_sections([root / "noisy"])[-1]
    assert section.title == "Samples that were selected"
    file = next((root / "noisy" / "sample_info" / "own").glob("*.npz"))
    with np.load(file) as saved:
        keep, score = saved["selection"] > 0, saved["score"]
    # CLK keeps the smaller losses: the score is minus the loss.
    assert score[keep].min() >= score[~keep].max() and score.max() <= 0
    true = load_split("fashion_mnist_subset", "train[:256]").label
    label = NOISES["symmetric"](labels=true, num_classes=10, rate=0.4, seed=888)
    clean, (row,) = label == true, section.blocks[0].rows
    precision = (keep & clean).sum() / keep.sum()
    recall = (keep & clean).sum() / clean.sum()
    assert row[:3] == ("noisy", "the training", str(keep.sum()))
    assert row[5:7] == (f"{precision:.3f}", f"{recall:.3f}")
    best = next(block for block in section.blocks if isinstance(block, Gallery))
    assert best.images[0].caption.endswith(f"score {score.max():.3g}")


def test_what_a_stage_kept_for_the_training(root):
    section = evidence_sections([root / "tickets"])[-1]
    label = load_split("fashion_mnist_subset", "train[:256]").label
    noisy = NOISES["symmetric"](labels=label, num_classes=10, rate=0.4, seed=888)
    (row,) = section.blocks[0].rows
    assert row[:4] == ("retrain", "the training", str((noisy < 6).sum()), "256")
    left_out = [block for block in section.blocks if isinstance(block, Gallery)][1]
    assert left_out.images[0].caption.endswith("score -9")


def test_what_cannot_be_computed_is_said(root, tmp_path, capsys):
    gone = copied(root / "students", tmp_path / "gone")
    shutil.rmtree(gone / "checkpoints")
    (section,) = evidence_sections([gone])
    assert section.title == TITLE and len(section.blocks) == 1
    why = f"ce · kd · lr: {gone}/checkpoints: no checkpoints"
    assert section.blocks[0].startswith(f"Left out: {why}")
    assert f"left out: kd: {gone}/checkpoints: no" in capsys.readouterr().err
    copied(root / "students", tmp_path / "students")
    (root / "teacher").rename(tmp_path / "moved")
    try:
        first, *others = evidence_sections([tmp_path / "students"])
        titles = [section.title for section in others]
    finally:
        (tmp_path / "moved").rename(root / "teacher")
    assert "Images on which teacher and student disagree most" not in titles
    assert "Gains and losses against training on labels alone" in titles
    said = capsys.readouterr().err
    assert said.count("left out: the comparison with the teacher") == 1
    assert first.blocks[0].startswith("Left out: the comparison with the teacher · ")


def test_classes_that_are_none_are_refused(root, capsys):
    (section,) = evidence_sections([root / "second"], classes="boot,Bag,Coat")
    assert "'boot' is not a class" in section.blocks[0]
    assert "'boot' is not a class" in capsys.readouterr().err
    assert evidence.MOST_IMAGES == 10_000
