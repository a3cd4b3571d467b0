"""Where compiled programs are kept, as on an accelerator."""

import types

import jax
import pytest

from kdjax.commands import devices


@pytest.fixture
def kept(monkeypatch):
    """What is configured, on a device that says it is a GPU."""
    found = {}
    device = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(jax.config, "update", found.__setitem__)
    found["device"] = device
    return found


def test_programs_are_kept_for_this_user_alone(kept, tmp_path):
    devices.keep_programs(tmp_path / "a" / "b")
    assert kept["jax_compilation_cache_dir"] == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_a_cpu_keeps_none(kept, tmp_path):
    kept["device"].platform = "cpu"
    devices.keep_programs(tmp_path / "a")
    assert "jax_compilation_cache_dir" not in kept and not (tmp_path / "a").exists()


def test_a_directory_that_cannot_be_made_stops_no_training(kept, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    devices.keep_programs(tmp_path / "file" / "a")
    assert "jax_compilation_cache_dir" not in kept
    assert "not kept" in capsys.readouterr().err
