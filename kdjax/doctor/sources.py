"""What a run was made from: whether it is still there, and still the same.

Digests are computed from arrays and files. No network is built: a workdir that somebody
sent may name any function as one.
"""

from collections.abc import Mapping

from kdjax import checkpoints, paths
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError, versions
from kdjax.data import npz
from kdjax.data.load import size_on_disk
from kdjax.data.split import DataError
from kdjax.data.tfds.names import default_data_dir, is_embedded
from kdjax.doctor.documents import different
from kdjax.doctor.findings import Finding, Findings, note, ok, problem
from kdjax.experiment.build import PACKAGES
from kdjax.experiment.data import RESIDENT_BELOW, keep_digest, load_data, load_keep
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.schema import plain

SAME_BITS = "Results agree to rounding; for the same bits install the versions of then."
GET_BACK = "Bring back what it was, or begin anew in another --workdir."
MOVED = "Bring it back, or say in the config where it is now: paths may change."
MEMBERS = ("workdir", "student", "step")


def examine_sources(
    where: object, config: dict, meta: dict, finished: bool, quick: bool
) -> Findings:
    """Versions, images, teacher, cache, initial weights and selections of a run.

    What a `finished` run was made from may be gone: then it is a note.
    """
    yield from examine_versions(where, meta.get("versions", {}))
    if quick:
        return
    lacks = note if finished else problem
    yield from _data(where, config, meta, lacks)
    for name in ("teacher", "initial"):
        if meta.get(name):
            yield _network(where, name, meta[name], lacks)
    if meta.get("cache"):
        yield _cache(where, meta["cache"], lacks)
    for name, student in meta["students"].items():
        section = student.get("selection", {})
        if section.get("name") == "file" and "selection_digest" in student:
            yield _selection(where, name, student, lacks)


def examine_versions(where: object, then: Mapping[str, str]) -> Findings:
    now = versions(*PACKAGES)
    changed = [
        f"{name} {version}, here {now.get(name, 'none')}"
        for name, version in then.items()
        if now.get(name) != version
    ]
    if changed:
        text = f"was written with other versions: {'; '.join(changed)}"
        yield note(where, text, SAME_BITS)
    elif then:
        yield ok(where, "was written with the versions that are installed here")


def network_digest(identity: Mapping) -> str:
    """The digest of a network, or an ensemble, as the run that used it recorded it."""
    members = [str(identity[key]).split(",") for key in MEMBERS]
    weights = identity.get("weights", "")
    each = [_variables(*one, weights) for one in zip(*members, strict=True)]
    moments, changes = identity.get("normalisation"), identity.get("adapted")
    many = len(each) > 1
    variables = each[0]
    if many:
        named = {f"member{i}": member for i, member in enumerate(each)}
        variables = tuple(
            {name: pair[part] for name, pair in named.items()} for part in (0, 1)
        )
    if not moments and not changes:
        return checkpoints.digest(variables)
    from kdjax.weights import imported

    if many:
        moments = moments or [None] * len(each)
        models = zip(identity["model"], moments, strict=True)
        models = [model if own else {} for model, own in models]
        record = {"normalisation": moments, "adapted": changes} if changes else moments
    else:
        models = [identity["model"] if moments else {}]
        own = {"normalisation": moments} if moments else {}
        record = own | changes if changes else moments
    return imported.digest(variables, record, models)


def _variables(workdir: str, student: str, step: str, weights: str):
    directory = paths.parse(workdir, "workdir") / CHECKPOINTS
    return checkpoints.read_variables(directory, int(step), student, weights)


def _network(where, name: str, identity: Mapping, lacks) -> Finding:
    """Of a teacher, or of initial weights."""
    if "workdir" not in identity:
        text = f"{name}: {identity.get('network')} is code of yours and was not called"
        return note(where, text)
    path = f"{identity['workdir']} at step {identity['step']}"
    try:
        digest = network_digest(identity)
        if digest != identity["digest"] and name == "initial":
            digest = _with_connectors(identity)
    except (InputError, StorageError, OSError) as error:
        return lacks(where, f"{name}: {path} cannot be read: {error}", MOVED)
    if digest == identity["digest"]:
        return ok(where, f"{name}: {path} is the network of then")
    text = f"{name}: {path} has digest {digest[:12]}; the run's is"
    return problem(where, f"{text} {identity['digest'][:12]}: other weights", GET_BACK)


def _with_connectors(identity: Mapping) -> str:
    """Of initial weights that came with the connectors of their method."""
    workdir, student, step = (str(identity[key]) for key in MEMBERS)
    directory = paths.parse(workdir, "workdir") / CHECKPOINTS
    connectors = checkpoints.read_connectors(directory, int(step), student)
    variables = _variables(workdir, student, step, identity.get("weights", ""))
    return checkpoints.digest((variables, connectors))


def _cache(where, identity: Mapping, lacks) -> Finding:
    from kdjax.caching.manifest import digest
    from kdjax.experiment.cache import read_manifest

    path = identity["path"]
    try:
        now = digest(read_manifest(paths.parse(path, "cache"), path))
    except (InputError, OSError) as error:
        return lacks(where, str(error), MOVED)
    if now == identity["digest"]:
        return ok(where, f"cache: {path} is that of then; look at it by its own path")
    return problem(where, f"cache: {path} holds other outputs than then", GET_BACK)


def _selection(where, name: str, student: Mapping, lacks) -> Finding:
    path = student["selection"].get("path", "")
    try:
        digest = keep_digest(load_keep(path, f"selection of {name}")[0])
    except (InputError, OSError) as error:
        return lacks(where, str(error), MOVED)
    if digest == student["selection_digest"]:
        return ok(where, f"selection of {name}: {path} keeps the samples of then")
    text = f"selection of {name}: {path} keeps other samples than then"
    return problem(where, text, GET_BACK)


def _data(where, config: dict, meta: dict, lacks) -> Findings:
    """Images and labels, all of them read and compared."""
    section, then = plain(config["data"]), meta["data"]
    if not then.get("train"):  # imported weights
        return
    name = section["name"]
    try:
        if _would_write(section):
            text = f"data: {name} has no file of labels yet; it was not compared"
            yield note(where, text, "The next training reads all of it for its labels.")
            return
        now = load_data(section).identity
    except (DataError, InputError, OSError) as error:
        yield lacks(
            where, f"data: {error}", "Prepare it, or give config.data.data_dir."
        )
        return
    parts = [part for part in ("train", "test") if now[part] != then[part]]
    for part in parts:
        changed = "; ".join(different(then[part], now[part])[:3])
        text = f"data: {name} {part} is not that of the run (then and now: {changed})"
        yield problem(where, text, GET_BACK)
    if not parts:
        yield ok(where, f"data: {name} has the images and labels of then")


def _would_write(section: dict) -> bool:
    """A streamed set without a file of its labels: reading them writes that file."""
    name, data_dir = section["name"], section["data_dir"] or None
    if npz.is_npz(name) or is_embedded(name) or section["feed"] == "resident":
        return False
    if section["feed"] == "auto" and size_on_disk(name, data_dir) < RESIDENT_BELOW:
        return False
    from kdjax.data.tfds.labels import has_file
    from kdjax.data.tfds.records import open_split

    directory = paths.parse(data_dir, "data_dir") if data_dir else default_data_dir()
    splits = [open_split(name, section[part], directory) for part in ("train", "test")]
    return not all(map(has_file, splits))
