"""How speed and memory grow with the batch, the threads, the size of the images and the number of classes, and whether they stay as they are over time.

A process of `tta bench` for each point, medians of its batches. Memory against batch is fitted by a straight line; `tta inspect --plan` says which slope
was planned. Needs a release build of tta (make build); prints Markdown.
Example: python3 Benchmarks/growth.py --architecture cifar-resnet20 --batches 2,8,64,200,512
Example, a long run: python3 Benchmarks/growth.py --only time --architecture cifar-resnet14 --long 100000
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Point:
    """What one process measured."""

    def __init__(self, options, **changes):
        settings = {"batch": options.batch, "threads": options.threads, "repeats": options.repeats, "strategy": options.strategy,
                    "architecture": options.architecture} | changes
        command = [options.tta, "bench", "--random-weights", "--json", "--quiet"]
        for name, value in settings.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
        self.result = json.loads(done.stdout)
        self.rate, self.memory = self.result["images_per_second"], self.result["peak_memory_bytes"] / 2**20


def table(title, column, rows):
    print(f"\n**{title}**\n\n| {column} | images/s | peak memory |\n|--:|--:|--:|")
    for name, point in rows:
        print(f"| {name} | {point.rate:,.0f} | {point.memory:,.0f} MB |", flush=True)


def numbers(text):
    return [int(part) for part in text.split(",")]


def line(points):
    """Slope and start of the least squares line, and the largest distance from it as a share of the value."""
    count, xs, ys = len(points), [x for x, _ in points], [y for _, y in points]
    middle_x, middle_y = sum(xs) / count, sum(ys) / count
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x in xs)
    start = middle_y - slope * middle_x
    return slope, start, max(abs(y - start - slope * x) / y for x, y in points)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tta", type=pathlib.Path, default=ROOT / ".build/release/tta")
    parser.add_argument("--architecture", default="cifar-resnet20")
    parser.add_argument("--strategy", default="tent")
    parser.add_argument("--batch", type=int, default=200, help="where another thing grows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batches", type=numbers, default=[2, 4, 8, 16, 32, 64, 128, 256, 512])
    parser.add_argument("--sizes", type=numbers, default=[32, 64, 96, 128, 160, 192, 224])
    parser.add_argument("--size-architecture", default="resnet18", help="the network for the sizes")
    parser.add_argument("--class-counts", type=numbers, default=[10, 100, 1000, 10000])
    parser.add_argument("--long", type=int, default=100_000, help="batches of the long run")
    parser.add_argument("--long-batch", type=int, default=8, help="images in each of them")
    parser.add_argument("--only", choices=["batch", "threads", "size", "classes", "time"])
    options = parser.parse_args()
    print(f"{options.architecture}, {options.strategy}; load {os.getloadavg()[0]:.1f}")
    if options.only in (None, "batch"):
        rows = [(batch, Point(options, batch=batch)) for batch in options.batches]
        table("Batch", "images", rows)
        slope, start, distance = line([(batch, point.memory) for batch, point in rows])
        print(f"\nmemory = {start:.1f} MB + {slope:.3f} MB per image; no point is further than {100 * distance:.1f} % from it")
    if options.only in (None, "threads"):
        table("Threads", "threads", [(count, Point(options, threads=count)) for count in range(1, options.threads + 1)])
    if options.only in (None, "size"):
        rows = [(size, Point(options, architecture=options.size_architecture, input_size=size, batch=16)) for size in options.sizes]
        table(f"Size of the images: {options.size_architecture}, batch 16", "pixels", rows)
    if options.only in (None, "classes"):
        rows = []
        for count in options.class_counts:
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
                names.write("".join(f"class {index}\n" for index in range(count)))
                names.flush()
                rows.append((count, Point(options, classes=names.name)))
        table("Classes", "classes", rows)
    if options.only in (None, "time"):
        steady = Point(options, batch=options.long_batch, repeats=options.long).result["steadiness"]
        print(f"\n{options.long:,} batches of {options.long_batch}: the first tenth took {steady['first_tenth_milliseconds']:.3f} ms each, the last "
              f"{steady['last_tenth_milliseconds']:.3f} ms; memory grew by {steady['memory_growth_bytes'] / 2**10:,.0f} KiB between them")


if __name__ == "__main__":
    main()
