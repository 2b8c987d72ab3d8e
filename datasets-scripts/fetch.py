#!/usr/bin/env python3
"""Downloads the data sets of the benchmarks from their official addresses.

Example:  python3 datasets-scripts/fetch.py cifar10 --output data
          python3 datasets-scripts/fetch.py --list

Nothing is downloaded unless a data set is named. An interrupted download goes on where it was. Where the publisher states a checksum, the
file is checked against it; otherwise the SHA-256 of the first download is recorded in checksums.json beside the files, with a warning, and
later downloads are checked against that. Mind each data set's own licence and terms.
"""
import argparse
import hashlib
import json
import pathlib
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import Problem, run, sha256  # noqa: E402

CHUNK = 1 << 20

# Name -> what it is, its files: (address, file name, "md5:..." as the publisher states it, or None).
SOURCES = {
    "cifar10": ("CIFAR-10, binary version", [
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530")]),
    "cifar100": ("CIFAR-100, binary version", [
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8")]),
    "cifar10-c": ("CIFAR-10-C", [("https://zenodo.org/records/2535967/files/CIFAR-10-C.tar", "CIFAR-10-C.tar", None)]),
    "cifar100-c": ("CIFAR-100-C", [("https://zenodo.org/records/3555552/files/CIFAR-100-C.tar", "CIFAR-100-C.tar", None)]),
    "imagenet-c": ("ImageNet-C, five archives, 75 GB", [
        (f"https://zenodo.org/records/2235448/files/{part}.tar", f"{part}.tar", None)
        for part in ("noise", "blur", "weather", "digital", "extra")]),
    "svhn": ("SVHN, cropped digits, test part", [("http://ufldl.stanford.edu/housenumbers/test_32x32.mat", "test_32x32.mat", None)]),
    "mnist": ("MNIST, test part", [
        ("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", None),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz", None)]),
}


def download(address, path, progress=True):
    """Continues or begins a download; the file has its name only when it is whole."""
    partial = path.with_name(path.name + ".partial")
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            goes_on = start > 0 and response.status == 206
            length = response.headers.get("Content-Length")
            expected = int(length) + (start if goes_on else 0) if length else None
            done = start if goes_on else 0
            with open(partial, "ab" if goes_on else "wb") as file:
                while block := response.read(CHUNK):
                    file.write(block)
                    done += len(block)
                    if progress and sys.stderr.isatty():
                        print(f"\r{path.name}: {done >> 20} MB", end="", file=sys.stderr)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise Problem(f"{address}: {error}", "check the address in a browser") from error
        expected = done = start  # nothing is left to download
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Problem(f"{address}: {error}", "run the command again: it goes on where it was") from error
    if expected is not None and done != expected:
        raise Problem(f"{path.name}: got {done} of {expected} bytes", "run the command again: it goes on where it was")
    partial.replace(path)


def check(path, published, recorded):
    """Compares with the published checksum or with the recorded one; records the first."""
    if published:
        kind, value = published.split(":")
        digest = hashlib.new(kind)
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(CHUNK), b""):
                digest.update(block)
        found = digest.hexdigest()
        if found != value:
            raise Problem(f"{path}: {kind} {found}, the publisher states {value}", "delete the file and download it again")
        print(f"{path}: {kind} as published")
        return
    found = sha256(path)
    if path.name not in recorded:
        recorded[path.name] = found
        print(f"warning: {path}: no checksum is published; recorded SHA-256 {found}", file=sys.stderr)
    elif recorded[path.name] != found:
        raise Problem(f"{path}: SHA-256 {found}, recorded was {recorded[path.name]}", "delete the file and download it again")
    else:
        print(f"{path}: SHA-256 as recorded")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets: " + ", ".join(SOURCES))
    parser.add_argument("--output", default="data", help="folder for the files (default: data)")
    parser.add_argument("--list", action="store_true", help="list the data sets and stop")
    parser.add_argument("--dry-run", action="store_true", help="say what would be downloaded and stop")
    options = parser.parse_args(arguments)
    if options.list or not options.names:
        for name, (text, files) in SOURCES.items():
            print(f"{name:12} {text}\n" + "\n".join(f"{'':12} {address}" for address, _, _ in files))
        return
    for name in options.names:
        if name not in SOURCES:
            raise Problem(f'unknown data set "{name}"', "known are " + ", ".join(SOURCES))
    folder = pathlib.Path(options.output)
    if options.dry_run:
        for name in options.names:
            for address, file, published in SOURCES[name][1]:
                print(f"{address} -> {folder / file} ({published or 'checksum recorded on first use'})")
        return
    folder.mkdir(parents=True, exist_ok=True)
    register = folder / "checksums.json"
    recorded = json.loads(register.read_text()) if register.exists() else {}
    for name in options.names:
        for address, file, published in SOURCES[name][1]:
            if not (folder / file).exists():
                download(address, folder / file)
            check(folder / file, published, recorded)
            register.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
