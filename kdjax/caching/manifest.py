"""What a cache's outputs depend on: two caches of one digest hold the same outputs."""

import hashlib
import json
import pathlib

from kdjax.caching.layout import DTYPES
from kdjax.contracts import InputError, flat
from kdjax.paths.json_files import DamagedError, check_form, read_json
from kdjax.reporting.files import replace_record

FORMAT = 1  # raise it when the files of a cache change their meaning
MANIFEST = "manifest.json"
_FORM = {
    **{"teacher": str, "data": dict, "preprocessing": dict, "seed": int, "epochs": int},
    **{"examples": int, "classes": int, "members": int, "dtype": str, "top_k": int},
    "features": {str: [int]},
}
_ADVICE = "Write the cache anew in another --workdir, by `python -m kdjax cache`."
VIEW = 0  # of the crops: the teacher's
# No part of the digest: how many epochs there are, and what they were written with.
NOT_DIGESTED = ("epochs", "made_by")


def origin(
    *, teacher: str, data: dict, preprocessing: dict, seed: int, classes: int
) -> dict:
    """What teacher outputs are a function of, as JSON.

    `teacher` is the digest of its weights, `data` the identity of the training split,
    `preprocessing` version and values of what makes crops of its images.
    """
    # The same images with noisy labels get the same outputs.
    data = {key: value for key, value in data.items() if key != "noise"}
    record = {"format": FORMAT, "teacher": teacher, "data": data}
    record |= {"preprocessing": preprocessing, "seed": seed, "view": VIEW}
    return json.loads(json.dumps(record | {"classes": classes}))


def read(directory: pathlib.Path, what: str) -> dict | None:
    """The manifest of a cache; None where the directory is none.

    `what` is the option or key that named the directory; it opens the InputError about
    a manifest that is damaged.
    """
    path = directory / MANIFEST
    try:
        record = read_json(path, "the manifest of a cache", {"format": int}, _ADVICE)
        if record["format"] == FORMAT:
            check_form(record, _FORM)
            if record["dtype"] not in DTYPES:
                expected = " or ".join(DTYPES)
                raise ValueError(f"dtype is {record['dtype']!r}; expected {expected}")
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise DamagedError(f"{what}: {error}") from error
    except ValueError as error:
        raise DamagedError(f"{what}: {path} is damaged: {error}. {_ADVICE}") from error
    if record["format"] != FORMAT:
        raise InputError(
            f"{what}: {path} is not the manifest of a cache of format {FORMAT}; "
            "expected what `python -m kdjax cache` of this version writes."
        )
    return record


def write(directory: pathlib.Path, record: dict) -> None:
    replace_record(directory / MANIFEST, record)


def digest(record: dict) -> str:
    """SHA-256 of what the outputs depend on; the same for more epochs of them."""
    record = {key: x for key, x in record.items() if key not in NOT_DIGESTED}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def differences(stored: dict, wanted: dict) -> list[str]:
    """A sentence for every key of `wanted` that has another value in a manifest."""
    old, new = flat({key: stored.get(key) for key in wanted}), flat(wanted)
    return [
        f"{key} is {old.get(key)!r} there and {new.get(key)!r} here"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
