"""Which config may go on where another one has trained."""

import errno
import fcntl
import json

import pytest

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.paths.json_files import DamagedError
from kdjax.runner import workdir


def as_json(config):
    return json.loads(json.dumps(config))


def write(tmp_path, config):
    (tmp_path / workdir.CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("code", (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP))
@pytest.mark.errors
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, code):
    """Lustre without flock, an NFS without its lock service, some FUSE."""

    def flock(file, how):
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=f"{tmp_path} cannot be locked .*-o flock"):
        with workdir.locked(tmp_path):
            raise AssertionError("it went on")


@pytest.mark.errors
def test_a_second_writer_is_refused(tmp_path):
    with workdir.locked(tmp_path), pytest.raises(InputError, match="another run is"):
        with workdir.locked(tmp_path):
            raise AssertionError("it went on")


def test_a_start_that_is_refused_leaves_nothing(tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    (before / "notes.txt").touch()
    for place, left in ((tmp_path / "a/b", []), (before, ["notes.txt"])):
        with pytest.raises(InputError), workdir.locked(place):
            (place / workdir.CONFIG).touch()
            raise InputError("refused")
        assert [path.name for path in place.glob("*")] == left
    assert [path.name for path in tmp_path.iterdir()] == ["before"]
    with pytest.raises(InputError), workdir.locked(tmp_path / "run"):
        (tmp_path / "run/checkpoints").mkdir()
        raise InputError("something of a run that has begun")
    assert (tmp_path / "run" / workdir.LOCK).exists()


def test_a_lock_that_was_deleted_holds_no_one(tmp_path, monkeypatch):
    """Between the opening of the file and its lock, whoever held it was refused."""
    flock, deleted = fcntl.flock, []

    def late(file, how):
        if not deleted:
            deleted.append((tmp_path / workdir.LOCK).unlink())
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with workdir.locked(tmp_path), pytest.raises(InputError, match="another run is"):
        with workdir.locked(tmp_path):
            raise AssertionError("it went on")


def test_a_step_that_was_about_to_be_replaced_is_a_step(tmp_path):
    """Killed between the two, a run has no other one, and its config still counts."""
    meta = tmp_path / workdir.CHECKPOINTS / "2.replaced" / "meta" / "metadata"
    meta.parent.mkdir(parents=True)
    now = as_json(schema.nested())
    meta.write_text(json.dumps({"step": 2, "config": now}))
    write(tmp_path, now)
    for _ in range(2):
        with pytest.raises(InputError, match="config.batch_size was 128 and is now 64"):
            workdir.check_config(tmp_path, now | {"batch_size": 64})
        (tmp_path / workdir.CONFIG).unlink(missing_ok=True)  # then it is in the step
    (meta.parent.parent.parent / "2").mkdir()
    names = checkpoints.aside.step_names(tmp_path / workdir.CHECKPOINTS)
    assert names == ["2", "2.replaced"]


def test_a_key_that_was_retired_is_read_and_dropped(tmp_path):
    now = as_json(schema.nested())
    for stacked in (False, True):
        write(tmp_path, now | {"stacked": stacked})
        workdir.check_same_config(tmp_path, now)
        with pytest.raises(InputError, match="config.batch_size was 128 and is now 64"):
            workdir.check_same_config(tmp_path, now | {"batch_size": 64})


def test_what_a_run_did_before_there_was_a_key_is_the_default(tmp_path):
    before = schema.nested()
    del before["batch_norm"]
    for key in ("feed", "crops", "threads", "skip_at_most", "noise"):
        del before["data"][key]
    before["optimizer"] = {"name": "adamw", "weight_decay": 0.1}
    write(tmp_path, before)
    now = as_json(schema.nested() | {"optimizer": before["optimizer"]})
    workdir.check_same_config(tmp_path, now)
    with pytest.raises(InputError, match="config.batch_norm was 'global' and is now"):
        workdir.check_same_config(tmp_path, now | {"batch_norm": "device"})
    # Another machine has other cores, and a stopped run may be allowed more.
    free = {"threads": 12, "skip_at_most": 500}
    workdir.check_same_config(tmp_path, now | {"data": now["data"] | free})
    crops = now["data"]["crops"] | {"size": 160}
    with pytest.raises(InputError, match="config.data.crops.size was 224 and is now"):
        workdir.check_same_config(
            tmp_path, now | {"data": now["data"] | {"crops": crops}}
        )
    # A builder's own keys are none of these: without one it took its own default.
    now["optimizer"] = before["optimizer"] | {"momentum": 0.9}
    with pytest.raises(InputError, match=r"optimizer\.momentum was None and is now"):
        workdir.check_same_config(tmp_path, now)


def test_parts_of_a_section_may_be_newer_than_a_run(tmp_path):
    before = schema.nested()
    del before["data"]["crops"]["sizes"]
    write(tmp_path, before)
    now = as_json(schema.nested())
    workdir.check_same_config(tmp_path, now)
    del now["data"]["crops"]["smallest_area"]  # a config that sets some of them
    workdir.check_same_config(tmp_path, now)
    now["data"]["crops"]["sizes"] = [[0, 128]]
    with pytest.raises(InputError, match=r"crops\.sizes was \[\] and is now"):
        workdir.check_same_config(tmp_path, now)


@pytest.mark.parametrize(
    ("config", "message"),
    (
        ([1], "config is "),
        ({"model": 3}, "config.model is 3; expected dict"),
        ({"order": {"a": 1}}, "config.order is "),
        ({"data": {"name": ["x"]}}, "config.data.name is "),
    ),
)
@pytest.mark.errors
def test_the_config_in_the_checkpoints_is_checked_too(
    tmp_path, monkeypatch, config, message
):
    """It stands in for a file that is missing or damaged, and may be anyone's."""
    monkeypatch.setattr(workdir, "read_identity", lambda _: {"config": config})
    for content in (None, "{"):
        if content:
            (tmp_path / workdir.CONFIG).write_text(content)
        with pytest.raises(DamagedError, match=f"checkpoints: .*damaged: {message}"):
            workdir.read_config(tmp_path)
    monkeypatch.setattr(workdir, "read_identity", lambda _: {"config": {"seed": 1}})
    assert workdir.read_config(tmp_path) == {"seed": 1}
