"""Compares tta with PyTorch on this machine: ours and theirs alternate, medians of the rounds, ratios to eager and to the best mode.

Needs torch and torchvision (pip install torch torchvision) and a release build of tta (make build). With --output every row is kept as a file of its
own, so that the same command goes on where it was stopped; --markdown prints the table of what is there.
Example: python3 Benchmarks/compare.py --rows resnet20-tent,resnet20-batch-norm
Example, the whole table of docs/performance.md: python3 Benchmarks/compare.py --output reports/compare --markdown
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Architecture, strategy, batch, and the ratio to PyTorch's best mode that is asked for.
ROWS = {
    "resnet20-tent": ("cifar-resnet20", "tent", 200, 2.4),
    "resnet20-batch-norm": ("cifar-resnet20", "batch-norm", 200, 4),
    "resnet20-source": ("cifar-resnet20", "source", 200, None),
    "resnet20-all-weights": ("cifar-resnet20", "shot", 200, None),
    "resnet20-cotta": ("cifar-resnet20", "cotta", 200, 4),
    "resnet20-cotta-confident": ("cifar-resnet20", "cotta-confident", 200, 12),
    "resnet20-cotta-skipping": ("cifar-resnet20", "cotta-skipping", 200, None),
    "wrn-28-10-tent": ("wide-resnet-28-10", "tent", 200, 2.2),
    "resnet18-tent": ("resnet18", "tent", 64, 2.2),
    "resnet50-tent": ("resnet50", "tent", 64, 2.3),
    "mobilenet-v2-tent": ("mobilenet-v2", "tent", 64, 2),
    "efficientnet-b0-tent": ("efficientnet-b0", "tent", 32, 2),
    "vit-small-tent": ("vit-small-patch16-224", "tent", 64, 2),
    "vit-base-tent": ("vit-base-patch16-224", "tent", 16, 2),
    "vit-base-vida": ("vit-base-patch16-224", "vida", 16, 2),
    "resnet50-gn-sar": ("resnet50-gn", "sar", 64, 2),
    "resnet50-eata": ("resnet50", "eata", 64, 2.5),
    "resnet18-one-image": ("resnet18", "source", 1, 1.5),
    "resnet50-one-image": ("resnet50", "source", 1, 1.5),
    "resnet18-one-image-alpha": ("resnet18", "alpha-batch-norm", 1, 1.5),
    "resnet50-one-image-alpha": ("resnet50", "alpha-batch-norm", 1, 1.5),
}
# What the PyTorch side calls the strategies of which it measures the step alone.
PEERS = {"shot": "all-weights"}
# What our side needs for a case.
OURS = {strategy: ["cotta", "--set", "strategy.threshold=0"] for strategy in ("cotta-confident", "cotta-skipping")}
# Thresholds so wide that every image is learnt from, on both sides: noise under fresh weights is never certain.
OURS["eata"] = ["eata", "--set", "strategy.factor=1.1", "--set", "strategy.margin=1"]
OURS["sar"] = ["sar", "--set", "strategy.factor=100"]
# What holds both sides to older instructions.
LIMITS = {
    "avx2": {"TTA_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "native": {},
}


def run(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def measure(name, options):
    """Ours and theirs, alternating, for one row."""
    architecture, strategy, batch, asked = ROWS[name]
    environment = LIMITS[options.isa]
    common = ["--architecture", architecture, "--batch", str(batch), "--threads", str(options.threads), "--repeats", str(options.repeats)]
    peer = [sys.executable, "Benchmarks/peers/torch_peer.py", *common, "--strategy", PEERS.get(strategy, strategy)]
    own = [ROOT / ".build/release/tta", "bench", "--random-weights", "--json", "--quiet", *common, "--strategy", *OURS.get(strategy, [strategy])]
    ours, theirs = [], {mode: [] for mode in options.modes.split(",")}
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for mode in theirs:
            theirs[mode].append(run([*peer, "--mode", mode], environment))
            ours.append(run(own, environment))
    speed = {mode: middle(runs, "images_per_second") for mode, runs in theirs.items()}
    best = max(speed, key=speed.get)
    rates = [run["images_per_second"] for run in ours]
    own_speed, own_memory = middle(ours, "images_per_second"), middle(ours, "peak_memory_bytes")
    return {
        "row": name, "batch": batch, "threads": options.threads, "isa": options.isa, "repeats": options.repeats, "rounds": options.rounds,
        "load": load, "asked": asked,
        "ours": {"images_per_second": own_speed, "peak_memory_bytes": own_memory, "spread": [min(rates), max(rates)],
                 "milliseconds_p99": statistics.median(run["milliseconds_per_batch"]["p99"] for run in ours)},
        "torch": {mode: {"images_per_second": speed[mode], "peak_memory_bytes": middle(runs, "peak_memory_bytes"),
                         "spread": [min(r["images_per_second"] for r in runs), max(r["images_per_second"] for r in runs)]}
                  for mode, runs in theirs.items()},
        "ratio_to_best": own_speed / speed[best], "best_mode": best,
        "memory_ratio_to_best": middle(theirs[best], "peak_memory_bytes") / own_memory,
    }


def digits(rate):
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def markdown(rows, modes):
    """The table of docs/performance.md."""
    lines = [f"| row, batch | tta, images/s (range) | {' | '.join('PyTorch ' + mode for mode in modes)} | to the best | asked | peak memory | of PyTorch's |",
             "|---|--:|" + "--:|" * len(modes) + "--:|--:|--:|--:|"]
    for row in rows:
        ours, best = row["ours"], row["torch"][row["best_mode"]]
        theirs = " | ".join(digits(row["torch"][mode]["images_per_second"]) if mode in row["torch"] else "–" for mode in modes)
        asked = f"{row['asked']:g}×" if row["asked"] else "–"
        lines.append(
            f"| `{row['row']}`, {row['batch']} | {digits(ours['images_per_second'])} ({digits(ours['spread'][0])} to {digits(ours['spread'][1])}) "
            f"| {theirs} | **{row['ratio_to_best']:.1f}×** | {asked} | {ours['peak_memory_bytes'] / 2**20:,.0f} MB "
            f"| {ours['peak_memory_bytes'] / best['peak_memory_bytes']:.2f} |")
    return "\n".join(lines)


def line(row):
    theirs = "  ".join(f"{mode} {digits(each['images_per_second'])}" for mode, each in row["torch"].items())
    ours, best = row["ours"], row["torch"][row["best_mode"]]
    return (f"{row['row']} (batch {row['batch']}, {row['threads']} threads, {row['isa']}): ours {digits(ours['images_per_second'])} img/s "
            f"({digits(ours['spread'][0])} to {digits(ours['spread'][1])}); PyTorch {theirs}; {row['ratio_to_best']:.2f}x {row['best_mode']}; "
            f"memory {ours['peak_memory_bytes'] / 2**20:.0f} MB, PyTorch {best['peak_memory_bytes'] / 2**20:.0f} MB; load {row['load']:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--modes", default="eager,channels_last,compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10, help="measured steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, alternating")
    parser.add_argument("--isa", choices=LIMITS, default="native", help="instructions that both sides may use")
    parser.add_argument("--output", type=pathlib.Path, help="folder for the rows; those that are there are not measured again")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.rows.split(",") if name not in ROWS]
    if unknown:
        sys.exit(f"no row called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    results = []
    for name in options.rows.split(","):
        kept = options.output and options.output / f"{name}-{options.isa}.json"
        if kept and kept.exists():
            row = json.loads(kept.read_text())
        else:
            row = measure(name, options)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(row, indent=2) + "\n")
        results.append(row)
        if not options.json and not options.markdown:
            print(line(row), flush=True)
        elif kept:
            print(line(row), file=sys.stderr, flush=True)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
    elif options.markdown:
        print(markdown(results, options.modes.split(",")))


if __name__ == "__main__":
    main()
