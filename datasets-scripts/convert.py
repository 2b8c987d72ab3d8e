#!/usr/bin/env python3
"""Converts published data sets into the forms that tta reads: images.npy and labels.npy, or a folder per class.

Examples:  python3 datasets-scripts/convert.py cifar-pickle cifar-10-batches-py/test_batch --output data/cifar10-test
           python3 datasets-scripts/convert.py cifar-binary cifar-10-batches-bin/test_batch.bin --output data/cifar10-test
           python3 datasets-scripts/convert.py svhn test_32x32.mat --output data/svhn-test
           python3 datasets-scripts/convert.py imagenet-val val/ --labels val_wnids.txt --output data/imagenet-val

cifar-pickle   the Python version of CIFAR-10 or CIFAR-100 (fine classes), one or several files; pickles are read by an unpickler that knows
               nothing but containers and arrays
cifar-binary   the binary version of CIFAR-10; with --cifar100 of CIFAR-100 (fine classes)
svhn           the cropped digits of SVHN; class 10 becomes 0
imagenet-val   the flat validation folder of ImageNet; --labels has one wnid per line in the order of the sorted pictures. Pictures are
               linked, or copied where linking does not work.
"""
import argparse
import os
import pathlib
import re
import shutil
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import matlab  # noqa: E402
import restricted_pickle  # noqa: E402
from common import Problem, run, save_pair  # noqa: E402


def rows_to_pictures(rows):
    """Planar rows of 3072 samples as pictures."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def cifar_pickle(paths):
    images, labels, classes = [], [], 10
    for path in paths:
        batch = restricted_pickle.load(path)
        data = batch.get("data")
        names = batch.get("fine_labels", batch.get("labels"))
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072 or names is None:
            raise Problem(f"{path} has no data of Nx3072 uint8 and labels", "expected a batch of the Python version of CIFAR")
        if "fine_labels" in batch:
            classes = 100
        images.append(rows_to_pictures(data))
        labels.append(np.asarray(names))
    return np.concatenate(images), np.concatenate(labels), classes


def cifar_binary(paths, is_hundred):
    head = 2 if is_hundred else 1
    images, labels = [], []
    for path in paths:
        data = np.fromfile(path, np.uint8)
        if len(data) == 0 or len(data) % (head + 3072):
            raise Problem(f"{path} has {len(data)} bytes, expected a multiple of {head + 3072}", "CIFAR-100 needs --cifar100")
        data = data.reshape(-1, head + 3072)
        images.append(rows_to_pictures(data[:, head:]))
        labels.append(data[:, head - 1])
    return np.concatenate(images), np.concatenate(labels).astype(int), 100 if is_hundred else 10


def svhn(path):
    arrays = matlab.load(path)
    if "X" not in arrays or "y" not in arrays:
        raise Problem(f"{path} holds {sorted(arrays)}, expected X and y", "download test_32x32.mat again")
    images = arrays["X"].transpose(3, 0, 1, 2) if arrays["X"].ndim == 4 else arrays["X"]
    return images, arrays["y"].reshape(-1).astype(int) % 10, 10


def imagenet_val(source, labels, output, dry_run):
    pictures = sorted(p for p in pathlib.Path(source).iterdir() if p.suffix.lower() in (".jpeg", ".jpg", ".png"))
    wnids = pathlib.Path(labels).read_text().split()
    for number, wnid in enumerate(wnids):
        if not re.fullmatch(r"n\d{8}", wnid):
            raise Problem(f'{labels}: "{wnid[:40]}" at place {number}, expected a wnid such as n01440764', "one wnid per line")
    if len(pictures) != len(wnids):
        raise Problem(f"{len(wnids)} wnids for {len(pictures)} pictures", "both must belong to the same validation set")
    if dry_run:
        print(f"{len(pictures)} pictures of {len(set(wnids))} classes -> {output}")
        return
    for picture, wnid in zip(pictures, wnids):
        target = pathlib.Path(output) / wnid / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            continue
        try:
            os.link(picture, target)
        except OSError:
            shutil.copyfile(picture, target)
    found = sum(1 for _ in pathlib.Path(output).glob("n*/*"))
    if found != len(pictures):
        raise Problem(f"{output} has {found} pictures, expected {len(pictures)}", "choose an empty folder")
    print(f"{output}: {found} pictures of {len(set(wnids))} classes")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["cifar-pickle", "cifar-binary", "svhn", "imagenet-val"])
    parser.add_argument("inputs", nargs="+", help="files, in order; of imagenet-val one folder")
    parser.add_argument("--output", required=True, help="folder of the result")
    parser.add_argument("--cifar100", action="store_true", help="the binary files are CIFAR-100's")
    parser.add_argument("--labels", help="wnids of the validation pictures, one per line")
    parser.add_argument("--dry-run", action="store_true", help="read and check, but write nothing")
    options = parser.parse_args(arguments)
    for path in options.inputs:
        if not os.path.exists(path):
            raise Problem(f"{path} does not exist", "check the path")
    if options.kind == "imagenet-val":
        if not options.labels or len(options.inputs) != 1:
            raise Problem("imagenet-val needs one folder and --labels", "see --help")
        imagenet_val(options.inputs[0], options.labels, options.output, options.dry_run)
        return
    if options.kind == "cifar-pickle":
        images, labels, classes = cifar_pickle(options.inputs)
    elif options.kind == "cifar-binary":
        images, labels, classes = cifar_binary(options.inputs, options.cifar100)
    else:
        if len(options.inputs) != 1:
            raise Problem("svhn needs one file", "see --help")
        images, labels, classes = svhn(options.inputs[0])
    if options.dry_run:
        print(f"{len(images)} pictures of {images.shape[1]}x{images.shape[2]} pixels, {classes} classes -> {options.output}")
        return
    save_pair(options.output, images, labels, classes)


if __name__ == "__main__":
    run(main)
