"""Runs that are started again with a teacher or a selection that moved, or another."""

import json
import shutil

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.experiment import initial
from kdjax.runner import provenance, run, select, trainer
from kdjax.runner.select import read_selection
from kdjax.sweeps import directory
from kdjax.sweeps.trials import Trial
from tests.datasets.test_own_folder import A, write
from tests.experiment import configs
from tests.sweeps import sweeps

pytestmark = pytest.mark.usefixtures("own_networks")


def base(data_dir, **changes) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.total_steps = 1
    config.update(changes)
    return config


def picked(data_dir, keep="", **section) -> ConfigDict:
    """Of a selection among the samples of another one."""
    config = base(data_dir, select=ConfigDict(section))
    config.data.keep = str(keep)
    return config


def student(runs) -> ConfigDict:
    """All that can come from elsewhere: teacher, weights, samples, a selection."""
    config = base(runs / "data")
    config.method = ConfigDict({"name": "kd", "alpha": 0.5, "temperature": 4.0})
    config.teacher.workdir = config.initial.workdir = str(runs / "first")
    config.data.keep = str(runs / "keep")
    config.selection = ConfigDict({"name": "file", "path": str(runs / "file")})
    return config


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
    """Two networks, two selections of each kind, and a student of the first ones."""
    root = tmp_path_factory.mktemp("runs")
    (root / "data").symlink_to(data_dir)
    twice = base(data_dir, total_steps=2, evaluation={"every_epochs": 0.25})
    run.run(twice, root / "first")
    shutil.copytree(root / "first", root / "second")
    shutil.rmtree(root / "second" / "checkpoints" / "2")  # 1 is another network
    for seed, name in enumerate(("keep", "other_keep")):
        most = {"name": "random", "keep_ratio": 0.75, "seed": seed}
        run.run(picked(data_dir, **most), root / name)
    for seed, name in enumerate(("file", "other_file")):
        half = {"name": "random", "keep_ratio": 0.5, "seed": seed}
        run.run(picked(data_dir, root / "keep", **half), root / name)
    run.run(student(root), root / "student")
    return root


@pytest.fixture
def at_rest(monkeypatch):
    """Nothing trains or selects, and no images are loaded."""
    monkeypatch.setattr(trainer, "train", None)
    monkeypatch.setattr(run, "build", None)
    monkeypatch.setattr(select, "select", None)


@pytest.fixture
def blind(monkeypatch):
    """Nothing is read of other runs."""
    for name in ("load_trained", "load_teacher", "load_keep"):
        monkeypatch.setattr(provenance, name, None)
    monkeypatch.setattr(initial, "load_initial", None)


def put(config: ConfigDict, key: str, path) -> ConfigDict:
    section, name = key.split(".")
    config[section][name] = str(path)
    return config


ELSEWHERE = {
    "teacher.workdir": ("first", "second"),
    "initial.workdir": ("first", "second"),
    "data.keep": ("keep", "other_keep"),
    "selection.path": ("file", "other_file"),
}


def check_moves(config, workdir, key, own, other, copy):
    """A finished run takes a copy, and neither another one, nor nothing, nor none."""
    shutil.copytree(own, copy)
    run.run(put(config, key, copy), workdir)
    with pytest.raises(InputError, match=rf"; config\.{key} is now '{other}'") as error:
        run.run(put(config, key, other), workdir)
    assert f"at '{own}'; " in str(error.value)
    with pytest.raises(InputError, match=rf"config\.{key}.* is '.*none', and there is"):
        run.run(put(config, key, copy.parent / "none"), workdir)


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_finished_run_is_of_what_it_was_made_from(runs, tmp_path, at_rest, key):
    own, other = (runs / name for name in ELSEWHERE[key])
    config, workdir = student(runs), runs / "student"
    check_moves(config, workdir, key, own, other, tmp_path / "copy")
    with pytest.raises(InputError, match=rf"config\.{key} is now '', with None"):
        run.run(put(config, key, ""), workdir)


def test_the_same_paths_read_nothing(runs, at_rest, blind):
    run.run(student(runs), runs / "student")


@pytest.mark.parametrize("key", ELSEWHERE)
def test_what_was_made_anew_in_its_place_is_another(runs, tmp_path, at_rest, key):
    """Also by a copy with old times. What is gone contradicts nothing."""
    own, other = (runs / name for name in ELSEWHERE[key])
    own.rename(tmp_path / "own")  # of one name in a config; as it was afterwards
    run.run(student(runs), runs / "student")
    shutil.copytree(other, own)
    with pytest.raises(InputError, match=f"at '{own}'; that was trained on or made an"):
        run.run(student(runs), runs / "student")
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "own", own)
    run.run(student(runs), runs / "student")
    shutil.rmtree(own)
    (tmp_path / "own").rename(own)


def test_a_step_by_its_number_stays_when_its_run_goes_on(runs, data_dir, tmp_path):
    teacher, config = tmp_path / "teacher", base(data_dir)
    shutil.copytree(runs / "second", teacher)
    config.method = ConfigDict({"name": "kd", "alpha": 0.5, "temperature": 4.0})
    config.teacher.update({"workdir": str(teacher), "checkpoint": "1"})
    run.run(config, tmp_path / "w")
    shutil.copytree(runs / "first/checkpoints/2", teacher / "checkpoints/2")
    run.run(config, tmp_path / "w")


@pytest.mark.parametrize("key", ["initial.workdir", "selection.path"])
def test_a_run_goes_on_with_what_it_began_with(runs, tmp_path, key):
    own, other = (runs / name for name in ELSEWHERE[key])
    shutil.copytree(runs / "student", tmp_path / "student")
    shutil.copytree(own, tmp_path / "copy")
    (tmp_path / "student" / "summary.json").unlink()
    what = "initial" if key == "initial.workdir" else "selection of kd"
    with pytest.raises(InputError, match=f"was trained with {what} digest"):
        run.run(put(student(runs), key, other), tmp_path / "student")
    run.run(put(student(runs), key, tmp_path / "copy"), tmp_path / "student")
    assert (tmp_path / "student" / "summary.json").exists()


@pytest.mark.errors
def test_a_set_of_ones_own_that_was_prepared_again_is_another(tmp_path):
    """As another version, or in the place of the first one."""
    photos, sets = tmp_path / "photos", tmp_path / "sets"
    write(photos, {"a": 10, "b": 8})
    prepare_folder("mine", photos, data_dir=sets)
    config = base(sets, batch_size=8)
    config.data.update({"name": "mine", "train": "train", "test": "validation"})
    versioned = ConfigDict(config.to_dict())
    versioned.data.name = "mine:1.0.0"
    run.run(config, tmp_path / "w")
    run.run(versioned, tmp_path / "versioned")
    (photos / "a/new.png").write_bytes(A)
    prepare_folder("mine:1.0.1", photos, data_dir=sets)
    with pytest.raises(InputError, match="is mine, which is 1.0.1 now, and was 1.0.0"):
        run.run(config, tmp_path / "w")
    run.run(versioned, tmp_path / "versioned")
    shutil.rmtree(sets / "mine")
    run.run(config, tmp_path / "w")  # a set that is not there contradicts nothing
    prepare_folder("mine", photos, data_dir=sets)
    for given, workdir in ((config, "w"), (versioned, "versioned")):
        with pytest.raises(InputError, match="was prepared anew, of other files or sp"):
            run.run(given, tmp_path / workdir)
    (tmp_path / "w/summary.json").unlink()
    with pytest.raises(InputError, match="was trained with data train"):
        run.run(config, tmp_path / "w")


def test_a_reference_is_what_a_selection_was_made_from(runs, data_dir, tmp_path):
    config = base(data_dir)
    config.method = ConfigDict({"name": "ds", "temperature": 4.0})
    config.teacher.workdir = str(runs / "second")
    config.selection = ConfigDict(
        {"name": "influence", "reference": str(runs / "first"), "keep_ratio": 0.5}
    )
    run.run(config, tmp_path / "w")
    key, own, other = "selection.reference", runs / "first", runs / "second"
    check_moves(config, tmp_path / "w", key, own, other, tmp_path / "copy")
    (tmp_path / "w" / "summary.json").unlink()
    with pytest.raises(InputError, match="was trained with selection of ds digest"):
        run.run(put(config, key, other), tmp_path / "w")


SELECTORS = {
    "select.proxies": {"name": "detector", "detector": "clk", "proxies": "first"},
    "select.as_many_as": {"name": "random", "as_many_as": "keep"},
    "select.reference": {"name": "influence", "reference": "first", "eta": None},
}


@pytest.mark.parametrize("key", SELECTORS)
def test_a_selection_is_of_its_sources(runs, data_dir, tmp_path, key):
    section = dict(SELECTORS[key])
    name = key.removeprefix("select.")
    own = runs / section[name]
    config = put(picked(data_dir, **section), key, own)
    config.teacher.workdir = str(runs / "second")
    run.run(config, tmp_path / "w")
    sources = read_selection(tmp_path / "w")["sources"]
    assert sources.keys() - {"teacher"} == {name}
    other = runs / ("other_keep" if own.name == "keep" else "second")
    check_moves(config, tmp_path / "w", key, own, other, tmp_path / "copy")
    put(put(config, key, own), "teacher.workdir", runs / "first")
    if name == "reference":
        with pytest.raises(InputError, match="was made with teacher digest"):
            run.run(config, tmp_path / "w")
    else:  # they do not use the teacher
        run.run(config, tmp_path / "w")


def test_a_selection_of_the_version_before_is_read(runs, data_dir, tmp_path):
    config = picked(data_dir, name="random", as_many_as=str(runs / "keep"))
    run.run(config, tmp_path / "w")
    path = tmp_path / "w" / "selection.json"
    record = read_selection(tmp_path / "w")  # without its checksum, as it was then
    old = dict(record)
    old["asked"], old["found"] = old.pop("sources"), {"f1": 0.5}
    path.write_text(json.dumps(old))
    assert read_selection(tmp_path / "w") == record | {"agreement": {"f1": 0.5}}
    key, own, other = "select.as_many_as", runs / "keep", runs / "other_keep"
    check_moves(config, tmp_path / "w", key, own, other, tmp_path / "copy")
    del old["asked"]
    path.write_text(json.dumps(old))
    with pytest.raises(InputError, match="does not say which networks"):
        run.run(put(config, key, other), tmp_path / "w")


def staged(runs, teacher="first") -> ConfigDict:
    config = base(runs / "data")
    config.method = ConfigDict({"name": "kd", "alpha": 0.5, "temperature": 4.0})
    config.teacher.workdir = str(runs / teacher)
    choose = {"select": {"name": "random", "keep_ratio": 0.5}}
    config.stages = ConfigDict(
        {"choose": choose, "train": {"data": {"keep": "stage:choose"}}}
    )
    config.order = ("choose", "train")
    return config


def test_finished_stages_move_together_and_keep_their_teacher(
    runs, tmp_path, monkeypatch
):
    run.run(staged(runs), tmp_path / "trial")
    (tmp_path / "trial").rename(tmp_path / "moved")
    monkeypatch.setattr(trainer, "train", None)
    run.run(staged(runs), tmp_path / "moved")
    message = r"moved/train was made with teacher .* is now '.*/second'"
    with pytest.raises(InputError, match=message):
        run.run(staged(runs, "second"), tmp_path / "moved")
    (tmp_path / "moved" / "DONE").touch()
    directory.check_done(tmp_path, [Trial("moved", {}, staged(runs))])
    with pytest.raises(InputError, match=message):
        directory.check_done(tmp_path, [Trial("moved", {}, staged(runs, "second"))])


@pytest.mark.long
def test_the_rows_of_a_sweep_are_of_one_teacher(runs, data_dir, tmp_path, monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
    file = sweeps.write(tmp_path, data_dir)
    shutil.copytree(runs / "first", tmp_path / "copy")

    def start(teacher):
        words = ["--config.teacher.network=", f"--config.teacher.workdir={teacher}"]
        words += ["--grid.method={'name': 'ce'},{'name': 'mse'}", "--grid.seed=1"]
        return sweeps.start(f"{file}:1", tmp_path / "w", *words)

    assert start(runs / "first") == 0
    loaded, original = [], provenance.load_teacher
    monkeypatch.setattr(
        provenance, "load_teacher", lambda *a: loaded.append(a) or original(*a)
    )
    monkeypatch.setattr("kdjax.sweeps.run._run_job", None)
    assert start(runs / "first") == 0 and len(loaded) == 1
    assert start(tmp_path / "copy") == 0 and len(loaded) == 2
    with pytest.raises(InputError, match="__method-ce was made with teacher digest"):
        start(runs / "second")
