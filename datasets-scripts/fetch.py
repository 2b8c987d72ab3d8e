#!/usr/bin/env python3
"""Downloads the data sets of the benchmarks from their official addresses.

Example:  python3 datasets-scripts/fetch.py cifar10 --output data
          python3 datasets-scripts/fetch.py --list

Nothing is downloaded unless a data set is named. An interrupted download goes on where it was, and every file is checked against its
checksum. Mind each data set's own licence and terms.
"""
import argparse
import hashlib
import pathlib
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import Problem, run  # noqa: E402

CHUNK = 1 << 20

FROST = "https://raw.githubusercontent.com/hendrycks/robustness/master/ImageNet-C/imagenet_c/imagenet_c/frost"

# Name -> what it is, its files: (address, file name, "algorithm:checksum"). The SHA-256 are those that TensorFlow Datasets 4.9.10 checks its
# downloads against; the MD5 of CIFAR-100-C and ImageNet-C are those of their Zenodo records.
SOURCES = {
    "cifar10": ("CIFAR-10, binary version", [
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz",
         "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")]),
    "cifar100": ("CIFAR-100, binary version", [
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz",
         "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec")]),
    "cifar10-c": ("CIFAR-10-C", [
        ("https://zenodo.org/records/2535967/files/CIFAR-10-C.tar", "CIFAR-10-C.tar",
         "sha256:c72763e101c723b7c507b96205f7e938912a5d587376173b825850cf3cb876a7")]),
    "cifar100-c": ("CIFAR-100-C", [
        ("https://zenodo.org/records/3555552/files/CIFAR-100-C.tar", "CIFAR-100-C.tar", "md5:11f0ed0f1191edbf9fa23466ae6021d3")]),
    "imagenet-c": ("ImageNet-C, five archives, 75 GB", [
        (f"https://zenodo.org/records/2235448/files/{part}.tar", f"{part}.tar", f"md5:{checksum}") for part, checksum in (
            ("noise", "e80562d7f6c3f8834afb1ecf27252745"), ("blur", "2d8e81fdd8e07fef67b9334fa635e45c"),
            ("weather", "33ffea4db4d93fe4a428c40a6ce0c25d"), ("digital", "89157860d7b10d5797849337ca2e5c03"),
            ("extra", "d492dfba5fc162d8ec2c3cd8ee672984"))]),
    "frost": ("the six photographs of the frost corruption, for --frost", [
        (f"{FROST}/{file}", file, f"sha256:{checksum}") for file, checksum in (
            ("frost1.png", "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755"),
            ("frost2.png", "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137"),
            ("frost3.png", "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504"),
            ("frost4.jpg", "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e"),
            ("frost5.jpg", "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2"),
            ("frost6.jpg", "1f92b2f48408748085b68dd81d816ef239f42cef3029c25d041fcb6760fb4f25"))]),
    "svhn": ("SVHN, cropped digits, test part", [
        ("http://ufldl.stanford.edu/housenumbers/test_32x32.mat", "test_32x32.mat",
         "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b")]),
    "mnist": ("MNIST, test part", [
        ("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz",
         "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
         "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")]),
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


def check(path, expected):
    """Compares a file with its checksum."""
    algorithm, value = expected.split(":")
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(CHUNK), b""):
            digest.update(block)
    found = digest.hexdigest()
    if found != value:
        raise Problem(f"{path}: {algorithm} {found}, expected {value}", "delete the file and download it again")
    print(f"{path}: {algorithm} as expected")


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
            for address, file, checksum in SOURCES[name][1]:
                print(f"{address} -> {folder / file} ({checksum})")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        for address, file, checksum in SOURCES[name][1]:
            if not (folder / file).exists():
                download(address, folder / file)
            check(folder / file, checksum)


if __name__ == "__main__":
    run(main)
