import os
import pickle

import numpy as np
import pytest

from kdjax.data.split import DataError
from kdjax.datasets.archives import pickles
from tests.datasets.miniatures import python2_pickle


class Malicious:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize(
    "function, argument",
    [
        (os.system, "touch {}"),
        (eval, "__import__('pathlib').Path('{}').touch()"),
        (exec, "import pathlib; pathlib.Path('{}').touch()"),
    ],
)
def test_code_is_refused_and_not_run(tmp_path, function, argument, protocol):
    target = tmp_path / "ran"
    payload = Malicious(function, argument.format(target))
    content = pickle.dumps({b"data": payload}, protocol)
    pickle.loads(content)
    assert target.exists()  # the payload does work
    target.unlink()
    with pytest.raises(DataError, match="file: the pickle asks for .* do not use"):
        pickles.load(content, "file")
    assert not target.exists()


@pytest.mark.parametrize(
    "function", [np.load, np.fromfile, getattr, __import__, pickle.loads, bytearray]
)
def test_other_callables_are_refused(function):
    content = pickle.dumps({"x": Malicious(function, "x")}, 2)
    with pytest.raises(DataError, match="the pickle asks for"):
        pickles.load(content, "file")


def test_arrays_of_objects_are_refused():
    content = python2_pickle({b"data": np.array([{}, []], dtype=object)})
    with pytest.raises(DataError, match="array of object"):
        pickles.load(content, "file")


def test_an_array_may_not_claim_memory_it_does_not_bring():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = python2_pickle(array)
    huge = content.replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86")
    assert huge != content
    with pytest.raises(DataError, match="file"):
        pickles.load(huge, "file")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_and_containers_come_back(dtype, order):
    array = np.asarray(np.arange(24).reshape(4, 6), dtype, order=order)
    value = {b"data": array, b"labels": [1, 2], b"name": b"\xff\x00", "text": 3.5}
    for content in (python2_pickle(value), pickle.dumps(value, 2), pickle.dumps(value)):
        if content[1] == 2 and b"_codecs" in content:
            continue  # Python 3 writes bytes through a codec there; the archives do not
        actual = pickles.load(content, "file")
        np.testing.assert_array_equal(actual.pop(b"data"), array)
        assert actual[b"labels"] == [1, 2] and actual[b"name"] == b"\xff\x00"


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"no pickle", b"\x80\x02]."])
def test_damaged_pickles(content):
    with pytest.raises(DataError, match="file: "):
        pickles.load(content, "file")


def test_reads_what_python_2_wrote():
    # {"data": "ab\xff", "n": [1]} from Python 2.7's cPickle, protocol 2.
    content = b"\x80\x02}q\x01(U\x04dataq\x02U\x03ab\xffq\x03U\x01nq\x04]q\x05K\x01au."
    assert pickles.load(content, "file") == {b"data": b"ab\xff", b"n": [1]}
