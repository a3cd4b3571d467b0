"""An interpreter that imports nothing but some packages and what they bring along."""

import importlib.metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What launch/README.md promises to be enough with an .npz file.
ENOUGH = ("jax", "jaxtyping", "flax", "optax", "orbax-checkpoint", "numpy")
# Nobody wants any of these, though some are other packages' dependencies.
NEVER = (
    *("tensorflow_datasets", "array_record", "ml_collections", "tensorboardX"),
    *("jinja2", "cv2", "sklearn"),
)
REFUSE = """
import importlib.metadata, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"refused: {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
version = importlib.metadata.version
def visible(name):
    if name not in {allowed!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = visible
"""


def closure(names) -> set[str]:
    """The distributions and all that they require, by their extras too."""
    visited, queue = set(), [Requirement(name) for name in names]
    while queue:
        wanted = queue.pop()
        extras = frozenset(wanted.extras) or frozenset({""})
        key = (canonicalize_name(wanted.name), extras)
        if key in visited:
            continue
        visited.add(key)
        for line in importlib.metadata.requires(wanted.name) or []:
            needed = Requirement(line)
            marker = needed.marker
            if not marker or any(marker.evaluate({"extra": extra}) for extra in extras):
                queue.append(needed)
    return {name for name, _ in visited}


def prelude() -> str:
    """The lines with which a program makes its interpreter a bare one."""
    allowed = closure(ENOUGH)
    return REFUSE.format(refused=refused(allowed), allowed=sorted(allowed))


def refused(allowed: set[str]) -> list[str]:
    """Top-level modules of everything installed that is not allowed."""
    owners_of = importlib.metadata.packages_distributions().items()
    foreign = {
        module
        for module, owners in owners_of
        if not {canonicalize_name(owner) for owner in owners} & allowed
    }
    return sorted({*foreign, *NEVER})
