"""Compares the corruptions of tta with the packages from PyPI on this machine: one thread each, one run, ratios to every peer.

Needs a release build of tta (make build) and, for each peer, the package (a virtual environment outside this folder will do):
    pip install "numpy<2" pillow scipy "scikit-image<0.23" opencv-python-headless numba wand setuptools
    pip install --no-deps imagecorruptions-imaug corrupt-tta
The original, imagecorruptions (with "scipy<1.12" and "setuptools<80"), and imagecorruptions-imaug are modules of one name: each wants an
environment of its own, named by --peer NAME=PYTHON. Peers without one are looked for in this Python. A peer that is not found is named. At 32
pixels the peers use their only parameters, those of ImageNet-C; tta uses the published ones of CIFAR-10-C, which have more enlargements in zoom
blur.
Example: python3 Benchmarks/corruptions.py --severity 3 --peer imagecorruptions=venv-original/bin/python
"""
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "MAGICK_THREAD_LIMIT"):
    os.environ[variable] = "1"

import argparse
import importlib.metadata
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = (32, 224)


def pattern(side):
    """The picture that tta bench --corruptions uses."""
    y, x, c = np.mgrid[0:side, 0:side, 0:3]
    fold = ((x * (3 + c) + y * (5 - c)) * 64 // side) & 511
    grain = (x * 7 + y * 13 + c * 5 + x * y) & 31
    return (np.where(fold < 256, fold, 511 - fold) * 7 // 8 + grain).astype(np.uint8)


def accept_multichannel():
    """imagecorruptions smooths with scikit-image by an argument that later versions have renamed."""
    import skimage.filters
    renamed = skimage.filters.gaussian

    def gaussian(image, sigma=1, multichannel=False, **options):
        return renamed(image, sigma=sigma, **({"channel_axis": -1} if multichannel else {}), **options)

    skimage.filters.gaussian = gaussian


def imagecorruptions(distribution):
    importlib.metadata.version(distribution)  # the other one of the two has the same module
    accept_multichannel()
    import imagecorruptions
    return lambda name, picture, severity: imagecorruptions.corrupt(picture, severity=severity, corruption_name=name)


def corrupt_tta():
    import corrupt_tta
    return lambda name, picture, severity: corrupt_tta.corrupt(picture, severity=severity, corruption_name=name)


PEERS = {
    "imagecorruptions": lambda: imagecorruptions("imagecorruptions"),
    "imagecorruptions-imaug": lambda: imagecorruptions("imagecorruptions-imaug"),
    "corrupt-tta": corrupt_tta,
}


def milliseconds(run, budget):
    run()
    start = time.perf_counter()
    run()
    count = max(1, int(0.02 / max(time.perf_counter() - start, 1e-7)))
    rounds = []
    began = time.perf_counter()
    while len(rounds) < 3 or (len(rounds) < 11 and time.perf_counter() - began < budget):
        start = time.perf_counter()
        for _ in range(count):
            run()
        rounds.append((time.perf_counter() - start) / count * 1e3)
    return statistics.median(rounds)


def ours(severity):
    command = [str(ROOT / ".build/release/tta"), "bench", "--corruptions", "--severity", str(severity), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)["rows"]


def measure(peer, names, severity, budget):
    """Milliseconds of a peer in this process: name -> [at 32, at 224], None where it lacks the corruption; and what went wrong."""
    try:
        import cv2
        cv2.setNumThreads(1)
    except ImportError:
        pass
    try:
        run = PEERS[peer]()
    except ImportError as error:
        return {"times": {}, "missing": [f"{peer}: {error}"]}
    times, missing = {}, []
    for name in names:
        times[name] = []
        for side in SIZES:
            picture = pattern(side)
            try:
                times[name].append(milliseconds(lambda: run(name, picture, severity), budget))
            except Exception as error:  # a peer without this corruption
                times[name].append(None)
                missing.append(f"{peer} {name} {side}: {type(error).__name__} {error}")
    return {"times": times, "missing": missing}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.5, help="seconds per measurement of a peer")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="the Python that has a peer: " + ", ".join(PEERS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = dict.fromkeys(PEERS, sys.executable) | dict(peer.split("=", 1) for peer in options.peer)
    if unknown := set(pythons) - set(PEERS):
        parser.error(f"unknown peer {', '.join(unknown)}: expected {', '.join(PEERS)}")
    if options.measure:
        print(json.dumps(measure(options.measure, sys.stdin.read().split(), options.severity, options.budget)))
        return
    rows = [
        {"corruption": row["corruption"].split(" ")[0].replace("-", "_"), "standard": row["standard"],
         "tta": [row["milliseconds_32"], row["milliseconds_224"]]}
        for row in ours(options.severity)]
    peers, missing = [], []
    for peer, python in pythons.items():
        command = [python, __file__, "--measure", peer, "--severity", str(options.severity), "--budget", str(options.budget)]
        done = subprocess.run(command, input=" ".join(row["corruption"] for row in rows), stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        missing += result["missing"]
        if result["times"]:
            peers.append(peer)
        for row in rows:
            if result["times"]:
                row[peer] = result["times"][row["corruption"]]
        print(f"{peer} done", file=sys.stderr)
    if options.json:
        print(json.dumps({"severity": options.severity, "rows": rows, "missing": missing}, indent=1))
        return
    for index, side in enumerate(SIZES):
        print(f"\n{side}x{side}, severity {options.severity}, one thread, ms per picture (ratio to tta)")
        print(f"{'corruption':20}{'tta':>9}" + "".join(f"{peer:>28}" for peer in peers))
        sums = {"tta": 0.0, **{peer: 0.0 for peer in peers}, "fastest peer": 0.0}
        for row in rows:
            own = row["tta"][index]
            cells = []
            for peer in peers:
                other = row[peer][index]
                cells.append(f"{'-':>28}" if other is None else f"{other:>17.3f} ({other / own:>6.1f}x)")
            print(f"{row['corruption']:20}{own:>9.4f}" + "".join(f"{cell:>28}" for cell in cells))
            if row["standard"]:
                sums["tta"] += own
                for peer in peers:
                    sums[peer] += row[peer][index] or 0
                known = [row[peer][index] for peer in peers if row[peer][index] is not None]
                sums["fastest peer"] += min(known) if known else 0
        print("sum of the 15 standard ones: " + ", ".join(f"{name} {value:.3f} ({value / sums['tta']:.1f}x)" for name, value in sums.items()))
    for line in missing:
        print("left out:", line)


if __name__ == "__main__":
    main()
