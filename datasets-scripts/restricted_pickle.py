"""Reads the pickles of the Python version of CIFAR: plain containers and NumPy arrays, nothing that could run code."""
import io
import pickle

import numpy as np

from common import Problem

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        if name == "_reconstruct":
            return np._core.multiarray._reconstruct if hasattr(np, "_core") else np.core.multiarray._reconstruct
        return super().find_class(module, name)


def load(path):
    """The dictionary of a file, its keys as text."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        value = RestrictedUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle fails in many ways
        raise Problem(f"{path} cannot be read as a CIFAR pickle: {error}", "copy or download the file again") from error
    if not isinstance(value, dict):
        raise Problem(f"{path} holds a {type(value).__name__}, expected a dictionary", "copy or download the file again")
    return {key.decode() if isinstance(key, bytes) else key: item for key, item in value.items()}
