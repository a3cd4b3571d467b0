"""Networks that differ in their seed only are one line."""

import math
import statistics

import pytest

from kdjax.contracts import InputError
from kdjax.reporting.comparable import choose_baseline
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.groups import mean_text
from kdjax.reporting.runs import read_runs
from tests.reporting.workdirs import demo, section, write


def groups_of(*roots):
    return make_groups(read_runs(list(roots)))


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    return groups_of(*demo(tmp_path_factory.mktemp("demo")))


def test_students_of_three_seeds_are_one_line_and_the_teacher_another(groups):
    names = ["teacher", "ce", "kd_tau1", "kd_tau4", "kd_inf", "mse"]
    assert [group.name for group in groups] == names
    assert [len(group.members) for group in groups] == [1, 3, 3, 3, 3, 3]
    assert [group.is_teacher for group in groups] == [True] + [False] * 5


def test_means_are_of_the_last_epoch_and_the_best_is_its_own(groups):
    (kd,) = (group for group in groups if group.name == "kd_tau4")
    expected = [82.0 + 0.3 * math.sin(7.0 * seed + 2) + 0.5 * seed for seed in range(3)]
    assert kd.values("top1") == expected and kd.values("nothing") == []
    assert kd.by_seed("top1") == dict(enumerate(expected))
    assert kd.best() == [(value + 1.0, 4.0) for value in expected]
    mean, deviation = sum(expected) / 3, statistics.stdev(expected)
    assert mean_text(expected) == f"{mean:.2f} ± {deviation:.2f} (3)"
    assert mean_text([1.0]) == "1.00" and mean_text([]) == "-"


def test_settings_and_teachers_keep_lines_apart(tmp_path):
    for name, own in {
        "a-seed0": {"teacher": "t/seed0"},
        "a-seed1": {"teacher": "t/seed1", "seed": 1},
        "b-seed0": {"teacher": "other"},
        "c-seed0": {"batch_size": 32},
    }.items():
        seed = own.get("seed", 0)
        write(tmp_path / name, {"kd": (section("kd", seed), 50.0)}, **own)
    groups = groups_of(tmp_path)
    assert [g.name for g in groups] == ["a", "b", "c"]
    assert [len(g.members) for g in groups] == [2, 1, 1]


def test_a_teacher_of_its_own_kind_is_compared_too(tmp_path):
    write(tmp_path / "first", {"ce": (section("ce"), 50.0)})
    again = {"kd": (section("kd"), 51.0)}
    write(tmp_path / "again", again, teacher=tmp_path / "first")
    write(tmp_path / "wide", {"ce": (section("ce", width=9), 50.0)})
    write(tmp_path / "small", again, teacher=tmp_path / "wide", total_epochs=9.0)
    groups = {group.name: group for group in groups_of(tmp_path)}
    assert {n for n, group in groups.items() if group.is_teacher} == {"wide"}
    assert choose_baseline(list(groups.values())).name == "first"
    seven = {"ce": (section("ce", 7), 50.0)}
    other = write(tmp_path / "other", seven, seed=7, batch_size=32)
    groups = groups_of(other, tmp_path / "first", tmp_path / "again")
    assert choose_baseline(groups).name == "first"  # the seed that "again" has


def test_a_line_says_only_what_tells_it_from_others_of_its_method(tmp_path):
    mse = section("lr_mse", lambda1=0.4, denominator="batch")
    students = {
        "kd": (section("kd", alpha=1.0, temperature=4.0) | {"networks": 1}, 50.0),
        "kd_labels": (section("kd", alpha=0.9, temperature=4.0), 51.0),
        "lr_mse": (mse | {"networks": 1, "denominator": "batch"}, 52.0),
    }
    for teacher in ("noisy", "fitted"):
        where = tmp_path / f"students-of-the-teacher-{teacher}"
        write(where, students, teacher=tmp_path / teacher)
    names = {group.name for group in make_groups(read_runs([tmp_path]))}
    kinds = ("kd, alpha 1", "kd, alpha 0.9", "lr_mse")
    taught = {f"{kind}, teacher {t}" for kind in kinds for t in ("noisy", "fitted")}
    assert names == taught


def test_a_sweep_of_seeds_and_temperatures(tmp_path):
    for tau in (1.0, 4.0):
        for seed in (0, 1):
            name = f"seed-{seed}__method-kd_temperature-{tau:g}-0123abcd"
            one = section("kd", seed, temperature=tau)
            write(tmp_path / name, {"kd": (one, 50.0)}, seed=seed)
    names = [group.name for group in groups_of(tmp_path)]
    assert names == ["kd, tau 1", "kd, tau 4"]


def test_the_teachers_network_is_in_no_students_name(tmp_path):
    teacher = {"ce": (section("ce", width=24), 90.0)}
    write(tmp_path / "teacher", teacher)
    for tau in (1.0, 4.0):
        one = section("kd", temperature=tau)
        path = tmp_path / f"method.temperature-{tau}__long"
        write(path, {"kd": (one, 50.0)}, teacher=tmp_path / "teacher")
    names = [group.name for group in groups_of(tmp_path)]
    assert names == ["teacher", "kd, tau 1", "kd, tau 4"]


def test_lines_of_a_sweep_say_how_they_were_trained(tmp_path):
    for size in (32, 64):
        name = f"a.long.section.batch_size-{size}"
        write(tmp_path / name, {"kd": (section("kd"), 50.0)}, batch_size=size)
    names = [group.name for group in groups_of(tmp_path)]
    assert names == ["kd, batch_size 32", "kd, batch_size 64"]


def test_no_line_is_a_bare_method_beside_its_settings(tmp_path):
    name = "method.temperature-{:.1f}__seed-{}"
    for tau in (1.0, 4.0):
        one = section("kd", 1, temperature=tau)
        write(tmp_path / name.format(tau, 1), {"kd": (one, 50.0)}, seed=1)
    alone = {"kd": (section("kd", temperature=4.0), 50.0)}
    write(tmp_path / "student", alone)
    names = [group.name for group in groups_of(tmp_path)]
    assert names == ["kd, tau 1", "kd, tau 4"]


def test_an_unfinished_seed_is_no_part_of_the_mean(tmp_path):
    for seed, score in enumerate((60.0, 10.0)):
        students = {"kd": (section("kd", seed), score)}
        students |= {"ce": (section("ce", seed), 1.0)}
        write(tmp_path / f"seed{seed}", students, seed=seed, finished=not seed)
    (kd, _) = groups_of(tmp_path)
    assert len(kd.members) == 2 and kd.values("top1") == [60.0]
    assert kd.name == "kd" and kd.is_finished


def test_the_baseline_is_the_student_without_a_teacher(groups):
    assert choose_baseline(groups).name == "ce"
    assert choose_baseline(groups, "kd").name == "kd_tau1"
    assert choose_baseline(groups, "mse").name == "mse"
    without = [group for group in groups if group.first.method != "ce"]
    assert choose_baseline(without).name == "kd_tau1"
    assert choose_baseline([]) is None


@pytest.mark.errors
def test_an_unknown_baseline(groups):
    with pytest.raises(InputError, match=r"--baseline is 'kd_tau'.*mean kd_tau4\?"):
        choose_baseline(groups, "kd_tau")
