"""Reads .pth and .th files: pickles, so only PyTorch's restricted loader opens them."""

import argparse
import pathlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdjax.contracts import InputError
from kdjax.paths.files import text_of
from kdjax.weights.trees import Unusable

SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".pth.tar", ".pt.tar")
_REASON = "WeightsUnpickler error"  # begins the reason; advice comes before it
WRAPPERS = ("state_dict", "model", "net")  # what training scripts put weights under
ADVICE = r"weights_only|safe_globals|arbitrary code|trust"
AVERAGED = "n_averaged"  # how many weights PyTorch's AveragedModel has averaged


def read(file: pathlib.Path, key: str = "") -> dict[str, np.ndarray]:
    """Name -> array, of a state dict or of a checkpoint that holds one.

    Nothing in the file is run: `weights_only` refuses whatever is no tensor, number,
    string or container. `key` is the one that the weights lie under; "": the only one
    that has some. InputError where PyTorch is missing, or weights are not unique.
    """
    loaded = _load(file)
    if key or not _is_weights(loaded):
        loaded = _only_weights(file, loaded, key)
    return _arrays(loaded)


def read_each(file: pathlib.Path) -> dict[str, dict[str, np.ndarray | Unusable]]:
    """Key -> arrays by name, of each set of weights in a file; "" where it is one."""
    loaded = _load(file)
    sets = {"": loaded} if _is_weights(loaded) else _sets(file, loaded)
    return {key: _arrays(tensors) for key, tensors in sets.items()}


def _sets(file: pathlib.Path, loaded: Any) -> dict[str, Mapping]:
    """What of a checkpoint is weights, by its key."""
    parts = loaded.items() if isinstance(loaded, Mapping) else ()
    sets = {str(name): part for name, part in parts if _is_weights(part)}
    if not sets:
        keys = ", ".join(map(str, list(loaded)[:6])) if parts else ""
        raise InputError(
            f"{file}: it holds {keys or f'a {type(loaded).__name__}'}; expected "
            f"tensors by name, alone or under one of {', '.join(WRAPPERS)}."
        )
    return sets


def _only_weights(file: pathlib.Path, loaded: Any, key: str) -> Mapping:
    """The weights under a key, or the only ones."""
    sets = _sets(file, loaded)
    if key and key not in sets:
        text = f"--key is {key!r}; {file} holds weights under {', '.join(sets)}."
        raise InputError(text)
    if not key and len(sets) > 1:
        raise InputError(
            f"{file} holds weights under {' and '.join(sets)}: those of a training "
            "and their average (ema) answer differently. Expected --key="
            f"{' or --key='.join(sets)}."
        )
    return sets[key or next(iter(sets))]


def _is_weights(value: Any) -> bool:
    tensors = value.values() if isinstance(value, Mapping) else ()
    are_tensors = [hasattr(x, "detach") and hasattr(x, "numpy") for x in tensors]
    return bool(are_tensors) and all(are_tensors)


def _load(file: pathlib.Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(
            f"{file}: only PyTorch reads its own files, and it is not installed. "
            "pip install torch, or turn the file into safetensors where PyTorch is: "
            "safetensors.torch.save_file(state_dict, 'FILE.safetensors')."
        ) from error
    check_sums(file)
    try:
        # The flags of a training, which torchvision's and timm's scripts save beside
        # the weights: a bag of values, with no code.
        safe = torch.serialization.safe_globals([argparse.Namespace])
        with safe, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors in it
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # pickle, zipfile and PyTorch raise five kinds
        raise InputError(
            f"{file}: PyTorch does not load this as weights alone: {_reason(error)} "
            "More than tensors, numbers and text in it could run, so it is not read. "
            "Expected of whoever has made it: torch.save(model.state_dict(), FILE), or "
            "the same as safetensors."
        ) from error


def check_sums(file: pathlib.Path) -> None:
    """Compares the checksums of a zip file, at which PyTorch does not look.

    The files of its first versions are no zip files, and have none.
    """
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as opened:
            damaged = opened.testzip()
    except OSError:
        raise
    except Exception as error:  # zipfile raises five kinds for damaged files
        damaged = f"its list of parts ({text_of(error)})"
    if damaged:
        raise InputError(
            f"{file}: it is damaged: {damaged} differs from its checksum. Copy or "
            "download it anew."
        )


def _reason(error: Exception) -> str:
    """PyTorch's error, without the advice around it, and without colours.

    The advice is to read the file in a way that runs what is in it.
    """
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error))
    parts = [p for p in text.split("\n\n") if not p.strip().startswith("Check the ")]
    _, begin, rest = (parts or [""])[-1].partition(_REASON)
    reason = begin + rest or f"{type(error).__name__}: {(parts or [''])[-1]}"
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(reason.split()))
    kept = [one for one in sentences if not re.search(ADVICE, one)]
    return (" ".join(kept) or type(error).__name__).removesuffix(".")[:300] + "."


def _arrays(tensors: Mapping) -> dict[str, np.ndarray | Unusable]:
    return {
        str(name): _array(tensor)
        for name, tensor in tensors.items()
        if name != AVERAGED
    }


def _array(tensor: Any) -> np.ndarray | Unusable:
    """The values; of a tensor that has none of its own, or other ones, why not."""
    tensor, shape = tensor.detach(), tuple(tensor.shape)
    if tensor.is_meta:
        return Unusable(shape, "has a shape and no values, a meta tensor")
    if tensor.is_quantized:
        return Unusable(shape, "is quantised; expected it after .dequantize()")
    if str(tensor.layout) != "torch.strided" or tensor.is_nested:
        return Unusable(shape, "is sparse or nested; expected it after .to_dense()")
    # A few bytes may be repeated into any shape.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return Unusable(shape, "repeats its values; expected it after .contiguous()")
    # NumPy has no bfloat16; float32 holds it exactly.
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
