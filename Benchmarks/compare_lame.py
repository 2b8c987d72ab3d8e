"""Compares LAME of tta with the released algorithm in PyTorch on this machine: ours and theirs alternate, medians of the rounds.

Needs torch and a release build of tta (make build).
Example: python3 Benchmarks/compare_lame.py --rounds 3
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def measure(command):
    """Rows of one process, by images and classes."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return {(row["images"], row["classes"]): row for row in json.loads(done.stdout)["rows"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="measured batches per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, alternating")
    options = parser.parse_args()
    common = ["--threads", str(options.threads), "--repeats", str(options.repeats)]
    ours, theirs = [], []
    for _ in range(options.rounds):
        theirs.append(measure([sys.executable, "Benchmarks/peers/lame.py", *common]))
        ours.append(measure([ROOT / ".build/release/tta", "bench", "--lame", "--json", *common]))
    print(f"LAME, {options.threads} threads, load {os.getloadavg()[0]:.1f}; milliseconds per batch (iterations)")
    for images, classes in ours[0]:
        key = (images, classes)
        mine, peer = (statistics.median(run[key]["milliseconds"] for run in runs) for runs in (ours, theirs))
        print(f"{images:5} images {classes:5} classes: ours {mine:8.2f} ({ours[0][key]['iterations']})  "
              f"PyTorch {peer:8.2f} ({theirs[0][key]['iterations']})  {peer / mine:.1f}x")


if __name__ == "__main__":
    main()
