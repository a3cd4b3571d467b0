import pytest

from kdjax.commands.prepare import main
from kdjax.data.builders import BUILDERS
from tests.data import miniatures


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("the test has no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)


def test_prepares_once_and_says_so_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(BUILDERS["fashion_mnist"], "SIZES", miniatures.SIZES)
    (tmp_path / "archives").mkdir()
    miniatures.fashion_mnist(tmp_path / "archives")
    command = ["fashion_mnist", f"--data_dir={tmp_path / 'data'}"]
    command.append(f"--archives={tmp_path / 'archives'}")
    expected = f"{tmp_path / 'data' / 'fashion_mnist' / '3.0.1'}\n"
    for how in (f"from {tmp_path / 'archives'}", "was prepared already"):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert out == f"fashion_mnist: train 10, test 4; {how}; {expected}"


def test_unknown_name(tmp_path, capsys):
    assert main(["cifar1000", f"--data_dir={tmp_path}"]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("kdjax prepare: cannot prepare 'cifar1000'. Did you")
    assert all(name in streams.err for name in BUILDERS)


def test_no_archive_and_no_network(tmp_path, capsys):
    assert main(["cifar10", f"--data_dir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert "Place cifar-10-binary.tar.gz or cifar-10-python.tar.gz into" in error


def test_directory_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["fashion_mnist_subset", f"--data_dir={tmp_path / 'file'}"]) == 4
    assert "choose another --data_dir" in capsys.readouterr().err


@pytest.mark.parametrize("argv, code", [([], 2), (["--help"], 0), (["a", "--x"], 2)])
def test_usage(argv, code, capsys):
    assert main(argv) == code
    streams = capsys.readouterr()
    assert "usage: kdjax prepare" in streams.out + streams.err
