"""Images of a streamed set that no process could read: counted, listed, reported."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

from kdjax.data.load import Split
from kdjax.data.loaders.loader import is_streamed
from kdjax.distributed import collectives
from kdjax.paths.json_files import DamagedError, read_json
from kdjax.reporting.files import replace_json

FILE = "unreadable.json"  # in a run's directory: of all its time slices so far


@contextlib.contextmanager
def collect(
    split: Split, workdir: pathlib.Path, start: int, say: Callable[[str], None]
) -> Iterator[dict[str, str] | None]:
    """Reports them when a training ends, also where all processes stop on the way.

    Yields image -> what is wrong with it, complete at the end; None of a set in memory.
    `workdir` keeps those of earlier time slices; at `start` step 0 there was none.
    """
    if not is_streamed(split):
        yield None
        return
    skipped = {}
    try:
        yield skipped
    except collectives.COMMON:
        # After any other error some processes would wait for others that have ended.
        _report(split, workdir / FILE, start, say, skipped)
        raise
    _report(split, workdir / FILE, start, say, skipped)


def as_json(skipped: dict[str, str] | None) -> dict:
    """For the summary; those of a time slice that was killed may be missing."""
    if skipped is None:
        return {}
    return {"unreadable_images": {"count": len(skipped), "first": _first(skipped)}}


def _report(split: Split, path: pathlib.Path, start: int, say, skipped) -> None:
    """Called by all processes: each knows the images that it decoded."""
    each = collectives.all_gather(split.image.skipped.errors)

    def write() -> dict[str, str]:
        images = _earlier(path) if start else {}
        for own in each:
            images |= own
        if images or path.exists():
            replace_json(path, images)
        return images

    skipped |= collectives.broadcast(write)
    if skipped:
        for line in _first(skipped):
            say(line)
        say(f"data: {len(skipped):,} unreadable images, replaced by the next")


def _earlier(path: pathlib.Path) -> dict[str, str]:
    """Those of earlier time slices; of a damaged file none, which is said."""
    try:
        return read_json(path, "the list of unreadable images", {str: str})
    except FileNotFoundError:
        return {}
    except DamagedError as error:
        collectives.log(f"{error} It is begun anew.")
        return {}


def _first(skipped: dict[str, str]) -> list[str]:
    lines = list(skipped.items())[:3]
    return [f"{name}: cannot be read ({why})" for name, why in lines]
