"""Compares a whole replay with the Python script that would do the same: TENT on ResNet-20 over the fifteen corruptions, corruption included.

Ours and theirs alternate as whole processes, from start to end; medians of the rounds. Theirs is Benchmarks/peers/replay.py, once per package of
corruptions and mode of PyTorch. The two packages are modules of one name, so each wants a virtual environment of its own:
    pip install torch safetensors "numpy<2" pillow scipy "scikit-image<0.23" opencv-python-headless numba "setuptools<80"
    pip install --no-deps imagecorruptions-imaug          (in the other one: imagecorruptions, with "scipy<1.12")
At 32 pixels the packages know the parameters of ImageNet-C only, tta uses the published ones of CIFAR-10-C: theirs has the higher error, for the
same amount of work. Brightness alone, made by tta with --table imagenet, gives the same error to both.
Needs a release build of tta (make build), CIFAR-10 pictures and the weights of a ResNet-20, in the folder TTA_SHARED or by options.
Example: python3 Benchmarks/replay.py --peer imaug=venv-imaug/bin/python --peer original=venv-original/bin/python
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("TTA_SHARED", ROOT.parent / "shared")) / "data"


def run(command, seconds):
    """One process from start to end: what it printed as JSON, its time and its largest resident size."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=output, stderr=errors)
        try:
            # Theirs has children of its own; the largest of all counts.
            while True:
                done, status, usage = os.wait4(process.pid, os.WNOHANG)
                if done:
                    break
                if time.perf_counter() - start > seconds:
                    process.kill()
                    os.wait4(process.pid, 0)
                    sys.exit(f"no end after {seconds} s: {' '.join(map(str, command))}")
                time.sleep(0.005)
        finally:
            process.returncode = 0
        elapsed = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        if status:
            sys.exit(f"{' '.join(map(str, command))}\n{errors.read().decode()[-2000:]}")
        return {"result": json.loads(output.read()), "seconds": elapsed, "peak_memory_bytes": usage.ru_maxrss * 1024}


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=pathlib.Path, default=SHARED / "weights/resnet20_cifar10.safetensors")
    parser.add_argument("--images", type=pathlib.Path, default=SHARED / "images/cifar10_test_lossless_1000.npy")
    parser.add_argument("--labels", type=pathlib.Path, default=SHARED / "images/cifar10_test_lossless_1000_labels.npy")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="a name and its Python; may be repeated")
    parser.add_argument("--modes", default="eager,channels_last,compile")
    parser.add_argument("--workers", default="2", help="processes that make pictures for the peer, several values one after the other")
    parser.add_argument("--tta", type=pathlib.Path, default=ROOT / ".build/release/tta")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, alternating")
    parser.add_argument("--timeout", type=float, default=1_800, help="seconds for one process")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = ["--images", options.images, "--labels", options.labels, "--batch", 200, "--threads", options.threads]
    peers = {}
    for peer in options.peer or [f"here={sys.executable}"]:
        name, python = peer.split("=", 1)
        for mode in options.modes.split(","):
            for workers in options.workers.split(","):
                peers[f"{name} {mode} {workers}"] = [
                    python, ROOT / "Benchmarks/peers/replay.py", *files, "--weights", options.weights, "--mode", mode, "--workers", workers]
    ours, theirs = [], {name: [] for name in peers}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for name, command in peers.items():
                theirs[name].append(run(command, options.timeout))
                ours.append(run([
                    options.tta, "replay", "--model", options.weights, "--architecture", "cifar-resnet20", "--mean", "0.485,0.456,0.406",
                    "--std", "0.229,0.224,0.225", *files, "--strategies", "tent", "--json", "--quiet", "--output", f"{folder}/{number} {name}",
                ], options.timeout))
    strategy = ours[-1]["result"]["groups"][0]["strategies"][0]
    rows = [{
        "peer": name, "seconds": middle(runs, "seconds"), "spread": [min(r["seconds"] for r in runs), max(r["seconds"] for r in runs)],
        "peak_memory_bytes": middle(runs, "peak_memory_bytes"), "error_percent": runs[0]["result"]["error_percent"],
        "ratio": middle(runs, "seconds") / middle(ours, "seconds"),
    } for name, runs in theirs.items()]
    own = {
        "seconds": middle(ours, "seconds"), "spread": [min(r["seconds"] for r in ours), max(r["seconds"] for r in ours)],
        "peak_memory_bytes": middle(ours, "peak_memory_bytes"), "error_percent": strategy["error_percent"],
        "waiting_percent": statistics.median(run["result"]["groups"][0]["strategies"][0]["cost"]["waiting_percent"] for run in ours),
    }
    load = os.getloadavg()[0]
    if options.json:
        return print(json.dumps({"ours": own, "peers": rows, "threads": options.threads, "load": load}, indent=2))
    print(f"tta: {own['seconds']:.2f} s ({own['spread'][0]:.2f} to {own['spread'][1]:.2f}), {own['peak_memory_bytes'] / 2**20:.0f} MB, "
          f"error {own['error_percent']:.1f} %, waited {own['waiting_percent']:.1f} % for pictures; load {load:.1f}")
    for row in rows:
        print(f"{row['peer']}: {row['seconds']:.2f} s ({row['spread'][0]:.2f} to {row['spread'][1]:.2f}), "
              f"{row['peak_memory_bytes'] / 2**20:.0f} MB, error {row['error_percent']:.1f} %: {row['ratio']:.1f}x")


if __name__ == "__main__":
    main()
