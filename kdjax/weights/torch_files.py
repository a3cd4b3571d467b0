"""Reads .pth and .th files: pickles, so only PyTorch's restricted loader opens them."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdjax.contracts import InputError

SUFFIXES = (".pth", ".pt", ".th", ".bin")
WRAPPERS = ("state_dict", "model", "net")  # what training scripts put weights under


def read(file: pathlib.Path) -> dict[str, np.ndarray]:
    """Name -> array, of a state dict or of a checkpoint that holds one.

    Nothing in the file is run: `weights_only` refuses whatever is no tensor, number,
    string or container.

    Raises:
      InputError: PyTorch is not installed or refuses the file, or no weights are there.
    """
    loaded = _load(file)
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
            break
    if not isinstance(loaded, Mapping) or not all(map(_is_tensor, loaded.values())):
        raise InputError(
            f"{file}: {_described(loaded)}; expected tensors by name, alone or under "
            f"one of {', '.join(WRAPPERS)}."
        )
    return {str(name): _array(tensor) for name, tensor in loaded.items()}


def _load(file: pathlib.Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(
            f"{file}: only PyTorch reads its own files, and it is not installed. "
            "pip install torch, or turn the file into safetensors where PyTorch is: "
            "safetensors.torch.save_file(state_dict, 'FILE.safetensors')."
        ) from error
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # pickle, zipfile and PyTorch raise five kinds
        raise InputError(
            f"{file}: PyTorch does not load this as weights alone: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    # NumPy has no bfloat16; float32 holds it exactly.
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _described(loaded: Any) -> str:
    if isinstance(loaded, Mapping):
        return f"it holds {', '.join(map(str, list(loaded)[:6]))}"
    return f"it holds a {type(loaded).__name__}"
