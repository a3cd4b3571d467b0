"""Every JSON file of a run, damaged in every way: a sentence, or it is written anew."""

import json
import shutil

import pytest

from kdjax.__main__ import main
from kdjax.contracts import InputError, exit_code_of
from kdjax.data import recorded
from kdjax.datasets import set_facts
from kdjax.datasets.own_set import config_text
from kdjax.datasets.summary import summary
from kdjax.datasets.write import Prepared
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.paths.json_files import DamagedError, parse_json, read_json, sealed
from kdjax.reporting import results
from kdjax.runner import provenance, run, select, workdir
from kdjax.sweeps import directory, trials
from kdjax.weights import imported
from tests.experiment import configs
from tests.faults import test_flips as kinds
from tests.faults.damage import dumped, outcome, rough, wrong_types

pytestmark = [pytest.mark.errors, pytest.mark.filterwarnings("default")]
JSON = [name for name in kinds.KINDS if "json" in name] + ["meta", "scores"]


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(collectives, "log", lines.append)
    return lines


@pytest.mark.parametrize("name", JSON)
def test_other_content_is_a_sentence(name, tmp_path, said):
    kind = kinds.KINDS[name](tmp_path)
    (path,), right = kind.files, kind.read()
    whole = path.read_bytes()
    for what, content in rough(whole).items():
        path.write_bytes(content)
        # A row that was torn by a crash, and a config without a key, are none.
        allowed = name in ("metrics.jsonl", "config.json")
        assert outcome(kind, right, said) != "silent" or allowed, what
        path.write_bytes(whole)


def shown(path):
    """All that `report` reads of a summary."""
    (path.parent / "metrics.jsonl").touch()
    found = results.read_results(path.parent)
    return [results.rows(found), results.caption(found), results.labels(found)]


def moved(path):
    """All that a second start of a finished run reads of its config."""
    for record in (CONFIG, SELECTOR):
        now = schema.with_defaults(record)
        try:
            workdir.check_same_config(path.parent, now)
        except InputError as error:  # what does not fit is named, or damaged
            assert "config" in str(error)
            continue
        provenance.check_finished(path.parent, now)


SELECT = {"name": "detector", "detector": "clk", "proxies": "a,b"}
CONFIG = {"seed": 1, "data": {"name": "x"}, "order": ["a"], "select": {}}
CONFIG |= {"selection": {"name": "file", "path": "y"}, "teacher": {"workdir": "z"}}
CONFIG |= {"students": {"a": {"selection": {"name": "influence", "reference": "r"}}}}
SELECTOR = CONFIG | {"select": SELECT}
SPREAD = {"smallest": 3, "median": 4.5, "largest": 6}
FACTS = {
    "source": {"validation": 0.2, "seed": 0, "listing": "1f"},
    "classes": 2,
    "splits": {"train": {"images": 9, "a_class": SPREAD, "fewest": "a"}},
    "heights": SPREAD,
    "widths": SPREAD,
    "measured": 9,
    "training": {"mean": [0.5], "std": [0.25], "padding": 1, "flip": True},
    "warnings": ["1 images"],
}
FACTS["splits"]["validation"] = FACTS["splits"]["train"]
FACTS["training"] |= {"feed": "streamed"}
FACTS["training"]["crops"] = {"size": 32, "short_side": 37, "smallest_area": 0.25}


def told(path):
    """All that `prepare` and `train` read of what is recorded of a folder's set."""
    where = path.parent / "set" / "1.0.0"
    where.mkdir(parents=True, exist_ok=True)
    (where / "dataset_info.json").touch()
    shutil.copy(path, where)
    recorded.recorded("set", path.parent)
    facts = recorded.read_facts(where)
    set_facts.check_same(Prepared("set", where, {}, None, facts=facts), FACTS["source"])
    summary(Prepared("set", where, {}, None, facts=facts))
    config_text("set", facts, "config.py", "data", "1.0.0")


CONSUMERS = {
    "kdjax.json": (FACTS, told),
    "summary.json": (kinds.SUMMARY, shown),
    "config.json": (CONFIG, moved),
    "selector's config.json": (SELECTOR, moved),
    "selection.json": (
        kinds.SELECTION,
        lambda path: select.read_selection(path.parent),
    ),
    "program.json": ({"rows": ["a", "b"]}, directory._members),
}


@pytest.mark.parametrize("name", CONSUMERS)
def test_other_types_at_any_key(name, tmp_path, said):
    """By hand, or by another program: with no checksum that would tell."""
    record, read = CONSUMERS[name]
    path, count = tmp_path / name.split()[-1], 0
    for other in wrong_types(record):
        path.write_bytes(dumped(other))
        count += 1
        try:
            read(path)
        except Exception as error:
            if exit_code_of(error) not in (2, 4):
                raise AssertionError(f"{other}") from error
            assert "\n" not in str(error)
    assert count > 30


def test_a_checksum_tells_what_no_form_does(tmp_path):
    path = tmp_path / "summary.json"
    path.write_bytes(dumped(sealed(kinds.SUMMARY)).replace(b"71.25", b"91.25"))
    with pytest.raises(DamagedError, match=f"{path}: the summary.*does not belong"):
        results.read_summary(path)
    path.write_bytes(dumped(kinds.SUMMARY))  # of the version before
    assert results.read_summary(path) == kinds.SUMMARY


def test_a_byte_order_mark_is_no_damage(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(tmp_path / "a.json", "a file") == {"a": 1}
    with pytest.raises(ValueError, match="a is 1; expected str"):
        parse_json(b'{"a": 1}', {"a": str})


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """(config, directory) of a run of two steps, with a checkpoint of each."""
    config = configs.teacher(data_dir)
    config.model.name = "tests.networks:coarse"
    del config.model["width"]
    config.total_steps, config.evaluation.every_epochs = 2, 1e-4
    root = tmp_path_factory.mktemp("finished")
    run.run(config, root / "run")
    return config, root / "run"


@pytest.fixture
def own(finished, tmp_path):
    config, root = finished
    shutil.copytree(root, tmp_path / "run")
    return config, tmp_path / "run"


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def test_one_start_mends_what_can_be_mended(own, capsys):
    """A cut summary does not say that a run is finished."""
    config, root = own
    before = json.loads((root / "summary.json").read_text())
    for name in ("summary.json", "config.json", "checkpoints/2/metrics/metrics"):
        cut(root / name)
    rows = (root / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (root / "metrics.jsonl").write_bytes(b"".join([rows[0][:-9] + b"\n", *rows[1:]]))
    run.run(config, root)
    text = capsys.readouterr().err
    assert "is finished" not in text
    for part in (
        "summary.json: the summary of a run is damaged",
        "config.json: the config of a run is damaged",
        "The config in the checkpoints is used",
        "checkpoint 2: its scores were damaged, and are written anew",
        f"1 of {len(rows)} rows are damaged and left out; line 1",
    ):
        assert part in text, part
    after = json.loads((root / "summary.json").read_text())
    assert after["students"] == before["students"]
    assert workdir.read_config(root) == json.loads(json.dumps(config.to_dict()))
    assert workdir.is_done(root)


@pytest.mark.parametrize("damage", (cut, lambda path: path.unlink()))
def test_a_config_that_is_gone_lets_no_other_one_in(
    own, damage, capsys, as_they_are, own_networks
):
    config, root = own
    damage(root / "config.json")
    assert main(["evaluate", f"--workdir={root}"]) == 0
    other = config.copy_and_resolve_references()
    other.batch_size = 32
    with pytest.raises(ValueError, match="config.batch_size was 64 and is now 32"):
        run.run(other, root)


@pytest.mark.parametrize("name", ("summary.json", "metrics.jsonl"))
def test_report_is_one_sentence(own, name, capsys, tmp_path, as_they_are):
    _, root = own
    contents = rough((root / name).read_bytes())
    chosen = contents if name == "summary.json" else ("zeros", "nested")
    for what in chosen:
        (root / name).write_bytes(contents[what])
        code = main(["report", str(root), f"--output={tmp_path / 'out'}"])
        text = capsys.readouterr().err.strip()
        assert code == (2 if name == "summary.json" else 0)
        assert name in text or "nested" not in text
        assert "Traceback" not in text


def test_a_damaged_trial_is_not_done(tmp_path, said):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / directory.DONE).write_text("{}")
        (tmp_path / name / "summary.json").write_bytes(dumped(sealed(kinds.SUMMARY)))
    cut(tmp_path / "b" / "summary.json")
    assert directory._is_done(tmp_path / "a") and not directory._is_done(tmp_path / "b")
    assert len(said) == 1 and said[0].startswith("b is not done: ")
    trials = [directory.Trial(name, {}, None) for name in ("a", "b")]
    for one in trials:  # it begins: nothing before says that it is done
        directory.start(tmp_path, directory.Job(tmp_path / one.name, [one]))
    left = [(tmp_path / name / directory.DONE).exists() for name in ("a", "b")]
    assert left == [True, False]


@pytest.mark.parametrize("content", rough(b"{}").values())
def test_trials_and_metadata_of_any_content(content, tmp_path):
    """A line of `sweep --trials`, and what `export` wrote into a file."""
    text = content.decode(errors="surrogateescape")
    for read in (
        lambda: trials._read_trial(configs.teacher(tmp_path), text),
        lambda: imported.origin(tmp_path / "x.safetensors"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(imported, "metadata", lambda _: {imported.OURS: text})
            try:
                read()
            except Exception as error:
                assert exit_code_of(error) == 2, error
