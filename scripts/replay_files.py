"""What two replays of one configuration left, compared: times and memory aside, all files must be the same bytes."""
import csv
import io
import json

TIMES = {"images_per_second", "seconds", "peak_memory_bytes", "waiting_percent"}


def without_times(path):
    """The content of a result file, times and memory left out."""
    if path.name == "results.csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
    if path.suffix == ".json":
        tree = json.loads(path.read_text())
        if path.name == "manifest.json":
            del tree["machine"], tree["time"]
        for group in tree.get("groups", []):
            for strategy in group["strategies"]:
                del strategy["cost"]
        return tree
    return path.read_bytes()


def differences(left, right):
    """Names of the result files that differ."""
    names = ["results.csv", "curves.csv", "summary.json", "manifest.json", "table.md", "table.tex", "configuration.yaml"]
    for folder in ("predictions", "tensorboard"):
        names += sorted(str(path.relative_to(left)) for path in (left / folder).rglob("*") if path.is_file())
    return [name for name in names if not (right / name).exists() or without_times(left / name) != without_times(right / name)]
