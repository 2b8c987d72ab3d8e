"""What the scripts share: messages, checksums and NumPy files written whole or not at all."""
import hashlib
import os
import pathlib
import sys

import numpy as np

CORRUPTIONS = [
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost", "fog",
    "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
]


class Problem(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, message, hint):
        super().__init__(message)
        self.hint = hint


def run(main):
    """Calls a script's main function; problems become two lines and exit code 65."""
    try:
        main(sys.argv[1:])
    except Problem as problem:
        print(f"error: {problem}\nhint: {problem.hint}", file=sys.stderr)
        sys.exit(65)
    except KeyboardInterrupt:
        sys.exit(130)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def save(path, array):
    """Writes an array beside its place and renames it, then reads it back."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        np.save(file, np.ascontiguousarray(array))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    check_array(path, array.shape, array.dtype)
    print(f"{path}: {'x'.join(map(str, array.shape))} {array.dtype}")


def check_array(path, shape, dtype):
    """Checks what a file holds without reading all of it."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Problem(f"{path} is no NumPy array: {error}", "write it again") from error
    if tuple(found.shape) != tuple(shape) or found.dtype != dtype:
        raise Problem(f"{path} is {found.shape} {found.dtype}, expected {tuple(shape)} {np.dtype(dtype)}", "write it again")
    return found


def save_pair(folder, images, labels, classes):
    """Writes images.npy and labels.npy after a check of both."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise Problem(f"pictures are {images.shape} {images.dtype}, expected Nxheightxwidthx3 uint8", "check the input's form")
    if len(images) != len(labels):
        raise Problem(f"{len(labels)} labels for {len(images)} pictures", "check that both inputs belong together")
    if len(labels) and not (0 <= labels.min() and labels.max() < classes):
        raise Problem(f"labels {labels.min()}...{labels.max()}, expected 0...{classes - 1}", "check the input's form")
    save(pathlib.Path(folder) / "images.npy", images)
    save(pathlib.Path(folder) / "labels.npy", labels.astype(np.int64))
