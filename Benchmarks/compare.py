"""Compares tta with PyTorch on this machine: ours and theirs alternate, medians of the rounds, ratios to eager and to the best mode.

Needs torch and torchvision (pip install torch torchvision) and a release build of tta (make build).
Example: python3 Benchmarks/compare.py --rows resnet20-tent,resnet20-batch-norm
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = {
    "resnet20-tent": ("cifar-resnet20", "tent", 200),
    "resnet20-batch-norm": ("cifar-resnet20", "batch-norm", 200),
    "resnet20-source": ("cifar-resnet20", "source", 200),
    "resnet20-all-weights": ("cifar-resnet20", "shot", 200),
    "resnet20-cotta": ("cifar-resnet20", "cotta", 200),
    "resnet20-cotta-confident": ("cifar-resnet20", "cotta-confident", 200),
    "resnet20-cotta-skipping": ("cifar-resnet20", "cotta-skipping", 200),
    "mobilenet-v2-tent": ("mobilenet-v2", "tent", 64),
    "efficientnet-b0-tent": ("efficientnet-b0", "tent", 32),
    "wrn-28-10-tent": ("wide-resnet-28-10", "tent", 50),
    "resnet18-tent": ("resnet18", "tent", 64),
    "resnet50-tent": ("resnet50", "tent", 32),
    "vit-small-tent": ("vit-small-patch16-224", "tent", 64),
    "vit-base-tent": ("vit-base-patch16-224", "tent", 16),
    "resnet18-one-image": ("resnet18", "source", 1),
    "resnet50-one-image": ("resnet50", "source", 1),
}
# What the PyTorch side calls the strategies of which it measures the step alone.
PEERS = {"shot": "all-weights"}
# What our side needs for a case.
OURS = {strategy: ["cotta", "--set", "strategy.threshold=0"] for strategy in ("cotta-confident", "cotta-skipping")}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--modes", default="eager,channels_last,compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10, help="measured steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, alternating")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for name in options.rows.split(","):
        architecture, strategy, batch = ROWS[name]
        common = ["--architecture", architecture, "--batch", str(batch), "--threads", str(options.threads),
                  "--repeats", str(options.repeats)]
        ours, theirs = [], {mode: [] for mode in options.modes.split(",")}
        for _ in range(options.rounds):
            for mode in theirs:
                theirs[mode].append(run([sys.executable, "Benchmarks/peers/torch_peer.py", *common, "--strategy", PEERS.get(strategy, strategy), "--mode", mode]))
                ours.append(run([ROOT / ".build/release/tta", "bench", "--random-weights", "--json", "--quiet", *common, "--strategy", *OURS.get(strategy, [strategy])]))

        def rate(runs):
            return statistics.median(r["images_per_second"] for r in runs)

        def memory(runs):
            return statistics.median(r["peak_memory_bytes"] for r in runs)

        best = max(theirs, key=lambda mode: rate(theirs[mode]))
        row = {
            "row": name, "batch": batch, "threads": options.threads, "load": os.getloadavg()[0],
            "ours": {"images_per_second": rate(ours), "peak_memory_bytes": memory(ours),
                     "spread": [min(r["images_per_second"] for r in ours), max(r["images_per_second"] for r in ours)]},
            "torch": {mode: {"images_per_second": rate(runs), "peak_memory_bytes": memory(runs)} for mode, runs in theirs.items()},
            "ratio_to_best": rate(ours) / rate(theirs[best]), "best_mode": best,
            "memory_ratio_to_best": memory(theirs[best]) / memory(ours),
        }
        if "eager" in theirs:
            row["ratio_to_eager"] = rate(ours) / rate(theirs["eager"])
        results.append(row)
        if not options.json:
            modes = "  ".join(f"{mode} {rate(runs):.0f}" for mode, runs in theirs.items())
            print(f"{name} (batch {batch}, {options.threads} threads): ours {rate(ours):.0f} img/s "
                  f"({row['ours']['spread'][0]:.0f} to {row['ours']['spread'][1]:.0f}); PyTorch {modes}; "
                  f"{row.get('ratio_to_eager', 0):.2f}x eager, {row['ratio_to_best']:.2f}x {best}; "
                  f"memory {memory(ours) / 2**20:.0f} MB, PyTorch {memory(theirs[best]) / 2**20:.0f} MB; load {row['load']:.1f}", flush=True)
    if options.json:
        json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
