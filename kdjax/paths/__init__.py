"""Turns what a user gives as a path into one; nothing else in the package does.

A path is a `pathlib.Path`, or of a bucket an `etils.epath.Path`, which has its methods:
both are annotated as `pathlib.Path`. What a bucket does in another way (it renames
nothing, appends nothing, has no directories) is in `kdjax.paths.files`.
"""

import importlib.util
import os
import pathlib
import re

from kdjax.contracts import InputError

# Scheme -> the package that fsspec needs for it, and the extra that installs it.
BUCKETS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
# Two letters or more, for one is a drive; pathlib merges slashes, so one is enough.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_LONGEST = 255  # bytes of a name, on every usual file system


def parse(text: str | pathlib.Path, what: str) -> pathlib.Path:
    """A path on this machine, or in a bucket (gs://, s3://); it need not exist.

    `~` and `~user` are expanded. `what`, the option or key that it came from, opens the
    message of the InputError about an empty one, another URL, a package that is not
    installed, an unknown home directory, a NUL or a name too long.

    >>> parse("runs/[lr=0.1]", "--workdir").name
    '[lr=0.1]'
    """
    text = _checked(text, what)
    if not (url := _URL.match(text)):
        return _local(text, what)
    bucket = text.split("/")[2] if text.startswith("://", url.end(1)) else ""
    if url[1] not in BUCKETS or not bucket:
        schemes = " or ".join(f"{scheme}://BUCKET/PATH" for scheme in BUCKETS)
        raise InputError(f"{what} is {text!r}; expected a local path, {schemes}.")
    package, extra = BUCKETS[url[1]]
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{what} is {text!r}, and {package}, which reads such buckets, is not "
            f"installed: pip install {package} (kdjax's extra {extra}), or give the "
            "directory where the bucket is mounted."
        )
    _check_names(text.split("/")[2:], what)
    if bad := sorted(set(text) & set("[]*?#")):
        raise InputError(
            f"{what} is {text!r}; expected a name without {' '.join(bad)}, which tools "
            "for buckets read as patterns."
        )
    return _in_bucket(text)


def resolve(text: str | pathlib.Path, what: str) -> pathlib.Path:
    """`parse`, made absolute: symbolic links are followed. A URL is as it is."""
    path = parse(text, what)
    return path if is_url(path) else path.resolve()


def local(text: str | pathlib.Path, what: str) -> pathlib.Path:
    """`parse` for what can only be on this machine; InputError for a URL too."""
    text = _checked(text, what)
    if _URL.match(text):
        raise InputError(
            f"{what} is {text!r}; expected a path on this machine, such as a directory "
            "where the bucket is mounted."
        )
    return _local(text, what)


def is_url(path: str | pathlib.Path) -> bool:
    """Whether a path is in a bucket."""
    return bool(_URL.match(str(path)))


def nearest(path: pathlib.Path) -> str:
    """ " Did you mean PATH?" of a path that is not there, or "": it ends an error."""
    from kdjax.paths.suggestion import suggestion

    return "" if is_url(path) or path.exists() else suggestion(path)


def _checked(text: str | pathlib.Path, what: str) -> str:
    text = str(text)
    if not text.strip():
        raise InputError(f"{what} is empty; expected a path.")
    if "\0" in text:
        raise InputError(f"{what} is {text!r}; expected a path without NUL.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:  # half a letter, as JSON may have it
        raise InputError(f"{what} is {text!r}; expected letters ({error}).") from error
    return text


def _local(text: str, what: str) -> pathlib.Path:
    try:
        path = pathlib.Path(text).expanduser()
    except (RuntimeError, KeyError) as error:  # KeyError: a user without an entry
        raise InputError(
            f"{what} is {text!r}, and there is no such home directory; expected a path "
            "without ~, or set HOME."
        ) from error
    _check_names(path.parts, what)
    return path


def _check_names(names, what: str) -> None:
    for name in names:
        if (size := len(os.fsencode(name))) > _LONGEST:
            raise InputError(
                f"{what} has a name of {size} bytes, {name[:20]!r}...; expected "
                f"{_LONGEST} at most."
            )


def _in_bucket(text: str) -> pathlib.Path:
    # Only here: the losses do without both.
    import fsspec
    from etils import epath

    # A listing that is kept hides what another host has written since.
    for scheme in BUCKETS:
        fsspec.config.conf.setdefault(scheme, {}).setdefault(
            "use_listings_cache", False
        )
    return epath.Path(text.rstrip("/"))
