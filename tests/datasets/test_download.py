import hashlib

import pytest
import tensorflow_datasets as tfds

from kdjax.data.errors import DataError
from kdjax.datasets import download
from kdjax.datasets.builders import BUILDERS
from kdjax.datasets.download import Remote


def silent(message):
    pass


def test_arrives_whole_and_under_its_name(tmp_path):
    content = bytes(range(256)) * 10000
    source = tmp_path / "source"
    source.write_bytes(content)
    remote = Remote(source.as_uri(), "sha256", hashlib.sha256(content).hexdigest())
    said = []
    path = download.fetch("a.zip", tmp_path / "new", said.append, remote=remote)
    assert path == tmp_path / "new" / "a.zip" and path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert said == [f"downloading {source.as_uri()}"]


def test_two_downloads_at_once_do_not_meet(tmp_path, monkeypatch):
    """The second one begins and ends while the first is half way."""
    content = bytes(range(256)) * 10000
    source = tmp_path / "source"
    source.write_bytes(content)
    remote = Remote(source.as_uri(), "sha256", hashlib.sha256(content).hexdigest())
    write, done = download._write, []

    def writing(target, chunk):
        write(target, chunk)
        if not done:
            done.append("second")
            download.fetch("a.zip", tmp_path / "new", silent, remote=remote)

    monkeypatch.setattr(download, "_write", writing)
    path = download.fetch("a.zip", tmp_path / "new", silent, remote=remote)
    assert done and path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_other_content_is_thrown_away(tmp_path, algorithm):
    (tmp_path / "source").write_bytes(b"a login page")
    remote = Remote((tmp_path / "source").as_uri(), algorithm, "0" * 32)
    with pytest.raises(DataError, match=f"has {algorithm} .* expected 000"):
        download.fetch("a.zip", tmp_path / "new", silent, remote=remote)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_broken_connection_leaves_nothing(tmp_path, monkeypatch):
    class Broken:
        sizes = []

        def read(self, size):
            self.sizes.append(size)
            if len(self.sizes) == 3:
                raise TimeoutError("timed out")
            return b"x" * 100

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def urlopen(url, timeout):
        assert 0 < timeout <= 30
        return Broken()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(DataError, match="cannot be fetched .timed out."):
        download.fetch("CINIC-10.tar.gz", tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_called_a_network_error(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"x")

    def full(target, chunk):
        raise download._DiskError(OSError(28, "No space left on device"))

    monkeypatch.setattr(download, "_write", full)
    remote = Remote((tmp_path / "source").as_uri(), "md5", "0")
    with pytest.raises(OSError, match="No space left"):
        download.fetch("a.zip", tmp_path / "new", silent, remote=remote)


def test_every_set_but_imagenet_can_be_downloaded():
    given = [b for b in BUILDERS.values() if b.name != "imagenet2012"]
    for builder in given:
        for name in builder.FILES[0] if builder.FILES else ():
            remote = download.REMOTES[name]
            assert remote.url.endswith(f"/{name}")
            length = {"md5": 32, "sha256": 64}[remote.algorithm]
            assert len(bytes.fromhex(remote.digest)) * 2 == length


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_sums_are_those_that_tfds_publishes(tmp_path, name):
    published = tfds.builder(name, data_dir=tmp_path).url_infos
    sums = {info.filename: info.checksum for info in published.values()}
    for file in BUILDERS[name].FILES[0]:
        assert download.REMOTES[file].digest == sums[file]
