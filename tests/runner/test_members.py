"""Which students a report compares, and what they are called in it."""

import pathlib

import pytest

from kdjax.runner.members import Run, name_members, one_of_each, read_runs


def student(method, seed=0, width=4):
    sections = {"model": {"name": "tiny", "width": width}, "method": {"name": method}}
    return sections | {"selection": {"name": "all"}, "seed": seed, "networks": 1}


def run(workdir, students, teacher=None):
    data = {"train": {"name": "set"}, "test": {"name": "set"}}
    meta = {"students": students, "teacher": teacher, "data": data, "step": 9}
    return Run(pathlib.Path("/runs") / workdir, meta)


def teacher(workdir, width=8):
    return {"workdir": workdir, "student": "ce", "digest": workdir, "step": 9} | {
        "model": {"name": "tiny", "width": width}
    }


def names(*runs):
    left_out = []
    return list(one_of_each(name_members(list(runs)), left_out.append)), left_out


def test_one_seed_of_each_and_no_teacher():
    runs = [run("teacher", {"ce": student("ce", width=8)})]
    runs += [
        run(
            f"seed{n}",
            {m: student(m, n) for m in ("ce", "kd")},
            teacher("/runs/teacher"),
        )
        for n in range(2)
    ]
    assert names(*runs) == (["seed0/ce", "seed0/kd"], [])
    assert names(runs[1]) == (["ce", "kd"], [])
    # Another size of teacher is another method, another seed of it is none.
    large = run(
        "large", {"kd": student("kd")}, teacher("/runs/large_teacher", width=16)
    )
    other = run("other", {"kd": student("kd")}, teacher("/runs/other_teacher"))
    assert names(runs[1], large, other)[0] == ["ce", "kd", "large"]


def test_each_of_an_ensemble_is_a_teacher():
    both = teacher("/runs/a, /runs/b") | {"student": "ce,ce"}
    runs = [run(name, {"ce": student("ce", width=8)}) for name in "ab"]
    assert names(*runs, run("kd", {"kd": student("kd")}, both))[0] == ["kd"]


@pytest.mark.parametrize("count", (8, 20))
def test_no_more_than_charts_can_tell_apart(count):
    methods = {f"m{i:02}": student(f"m{i:02}") for i in range(count)}
    shown, (said,) = names(run("run", methods))
    assert shown == list(methods)[:6]
    which = "m06, m07" if count == 8 else "14 students"
    assert said == f"{which}: only the first 6 are compared in charts"


def test_students_of_other_rates_are_others_and_those_of_other_seeds_are_not():
    def trained(rate, seed):
        one = run(f"{rate}-{seed}", {"ce": student("ce")})
        config = {"seed": seed, "schedule": {"learning_rate": rate}}
        config |= {"teacher": {"workdir": f"/runs/{seed}"}}
        return one._replace(meta=one.meta | {"config": config})

    shown, said = names(trained(0.1, 0), trained(0.1, 1), trained(0.01, 0))
    assert shown == ["0.1-0", "0.01-0"] and not said


def test_no_two_have_one_name():
    runs = [run("a/run", {"kd": student("kd")}), run("b/run", {"ce": student("ce")})]
    assert list(name_members(runs)) == ["run/kd", "run/ce"]
    runs[1] = run("b/run", {"kd": student("kd", width=6)})
    assert list(name_members(runs)) == ["run/kd (1)", "run/kd (2)"]


def test_trials_of_one_program_are_left_out_in_one_line(tmp_path):
    (tmp_path / "programs").mkdir()
    trials = [tmp_path / f"seed-{n}" for n in range(3)]
    for trial in trials:
        trial.mkdir()
    said = []
    assert read_runs(trials, said.append) == []
    (line,) = said
    assert "3 trials" in line and str(tmp_path / "programs" / "NAME") in line
