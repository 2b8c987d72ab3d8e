#!/usr/bin/env python3
"""Makes a data set like CIFAR-10-C from clean pictures: for each corruption one array of five blocks, severities 1 to 5, and labels.npy.

Example:  python3 datasets-scripts/generate.py data/cifar10-test --output data/cifar10-c-own --corruptions fog,contrast

The pictures are corrupted by `tta corrupt INPUT --corruption NAME --severity S --seed N --output FOLDER`. They follow the published recipe
but are not the published files: results on them are to be reported as such. Finished corruptions are kept, so an interrupted run goes on.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import CORRUPTIONS, Problem, check_array, run, save, sha256  # noqa: E402


def corrupt(tta, images, name, severity, seed, folder):
    """One severity of one corruption: the array that tta writes."""
    command = [tta, "corrupt", str(images), "--corruption", name, "--severity", str(severity), "--seed", str(seed), "--output", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Problem(f"{tta} cannot be run: {error}", "build it with make build, or name it with --tta") from error
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise Problem(f"{' '.join(command)}: exit code {result.returncode}: {lines[0]}", lines[-1])
    made = pathlib.Path(folder) / f"{name.replace('-', '_')}.npy"
    if not made.exists():
        raise Problem(f"tta corrupt did not write {made}", "check the version of tta")
    return made


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="folder with images.npy and labels.npy")
    parser.add_argument("--output", required=True, help="folder of the result")
    parser.add_argument("--corruptions", default=",".join(CORRUPTIONS), help="names, separated by commas (default: the standard fifteen)")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers (default: 1)")
    parser.add_argument("--tta", default="tta", help="the program (default: tta on the path)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made and stop")
    options = parser.parse_args(arguments)
    source, output = pathlib.Path(options.input), pathlib.Path(options.output)
    for name in ("images.npy", "labels.npy"):
        if not (source / name).exists():
            raise Problem(f"{source / name} does not exist", "convert.py makes images.npy and labels.npy")
    images = np.load(source / "images.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(source / "labels.npy", allow_pickle=False)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or labels.shape != (len(images),):
        raise Problem(
            f"images {images.shape} {images.dtype} and labels {labels.shape}", "expected Nxheightxwidthx3 uint8 and N labels")
    names = [name.strip().replace("-", "_") for name in options.corruptions.split(",") if name.strip()]
    shape = (5 * len(images), *images.shape[1:])
    if options.dry_run:
        for name in names:
            print(f"{output / name}.npy: {'x'.join(map(str, shape))} uint8")
        print(f"{output / 'labels.npy'}: {5 * len(images)} int64")
        return
    output.mkdir(parents=True, exist_ok=True)
    facts = {"images_sha256": sha256(source / "images.npy"), "seed": options.seed}
    record = output / "generated.json"
    if record.exists() and json.loads(record.read_text()) != facts:
        raise Problem(f"{output} was made from other pictures or with another seed", "choose another folder")
    record.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    for name in names:
        target = output / f"{name}.npy"
        if target.exists():
            check_array(target, shape, np.uint8)
            print(f"{target}: there already")
            continue
        blocks = []
        with tempfile.TemporaryDirectory(dir=output) as folder:
            for severity in range(1, 6):
                part = pathlib.Path(folder) / str(severity)
                made = corrupt(options.tta, source / "images.npy", name.replace("_", "-"), severity, options.seed, part)
                blocks.append(np.array(check_array(made, images.shape, np.uint8)))
                shutil.rmtree(part)
        save(target, np.concatenate(blocks))
    save(output / "labels.npy", np.tile(labels.astype(np.int64), 5))


if __name__ == "__main__":
    run(main)
