"""Errors of a user's own code: a network, an optimizer, a data set that kdjax calls."""

import contextlib
import pathlib
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from types import TracebackType

from kdjax.contracts import InputError, exit_code_of

_HERE = pathlib.Path(__file__).parent
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_NO_SUCH_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_GENERATED = ("<frozen", "<string>", "<@")  # import, dataclasses, beartype
# Of installed packages; another one may be the user's, where no other code is.
_KNOWN = "jax jaxlib flax optax orbax equinox chex numpy jaxtyping beartype importlib"


def place_of(error: BaseException) -> str:
    """ "FILE:LINE in FUNCTION" of the innermost call of a user's code; "" for none.

    It is a call that kdjax made: neither of kdjax and installed packages nor before
    the first function of kdjax.
    """
    if isinstance(error, ImportError) and (error.name or "").startswith("kdjax"):
        return ""
    if isinstance(error, SyntaxError) and error.filename:
        return "" if _is_ours(error.filename) else f"{error.filename}:{error.lineno}"
    calls = _called_by_kdjax(error.__traceback__)
    own = [
        frame
        for frame in calls
        if not frame.filename.startswith((*_INSTALLED, *_GENERATED))
    ]
    if not isinstance(error, OSError):  # those of a package are its data's or disk's
        own = own or [frame for frame in calls if _is_unknown(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""


def is_at_fault(error: BaseException) -> bool:
    """Whether an error is one of a user's code: kdjax's own and the disk's are not.

    A file that such code opens and that is not there is an error of that code.
    """
    if not isinstance(error, Exception):
        return False
    is_known = exit_code_of(error) is not None and not isinstance(error, _NO_SUCH_FILE)
    return not is_known and bool(place_of(error))


def described(error: BaseException) -> str:
    """The text of an error, with its place and kind where it is of a user's code."""
    place = place_of(error)
    return f"{place}: {type(error).__name__}: {error}" if place else str(error)


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Errors of a user's own code become InputErrors that say where it is."""
    try:
        yield
    except Exception as error:
        if is_at_fault(error):
            raise InputError(described(error)) from error
        raise


def _called_by_kdjax(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of other code after the first one of kdjax."""
    frames = [f for f in traceback.extract_tb(trace) if f.filename != __file__]
    first = next((i for i, f in enumerate(frames) if _is_ours(f.filename)), len(frames))
    return [frame for frame in frames[first:] if not _is_ours(frame.filename)]


def _is_ours(file: str) -> bool:
    return pathlib.Path(file).is_relative_to(_HERE)


def _is_unknown(file: str) -> bool:
    """Whether it is of an installed package that may be the user's own."""
    for root in _INSTALLED[1:]:
        if file.startswith(root):
            top = pathlib.Path(file).relative_to(root).parts[0].removesuffix(".py")
            return top not in {*_KNOWN.split(), *sys.stdlib_module_names}
    return False
