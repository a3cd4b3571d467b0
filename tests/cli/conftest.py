"""What the tests of caches share; made once."""

import pytest

from kdjax.distributed import devices
from tests.cli.caches import Caches


@pytest.fixture(scope="session")
def cached(data_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "configure", lambda *_: 8)
        caches = Caches(root, data_dir)
        assert (
            caches.cache(root / "single", "--dtype=float32", "--features=pooled") == 0
        )
        assert caches.cache(root / "half") == 0
    return caches
