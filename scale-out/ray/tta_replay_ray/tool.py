"""The tta program as a process with a time limit: listing cells, running one, merging."""
import json
import os
import pathlib
import signal
import subprocess


class ToolFailed(Exception):
    """tta ended with an error; the message is its own."""

    def __init__(self, message, may_pass=False):
        super().__init__(message, may_pass)
        self.message, self.may_pass = message, may_pass

    def __str__(self):
        return self.message


# What tta says of the request itself (usage, data, missing input, wrong model): another attempt would say the same.
PERMANENT_CODES = {64, 65, 66, 78}


def run(command, seconds, folder):
    """Runs a command in a folder and gives its output. Ends it, and whatever it started, when the time is over or this process is asked to end."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"no end after {seconds:g} s: {' '.join(command[:2])}", may_pass=True) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        lines = [line for line in errors.splitlines() if line.startswith(("error:", "hint:"))] or errors.splitlines()[-2:]
        raise ToolFailed(
            "\n".join(lines) or f"tta ended with code {process.returncode}", may_pass=process.returncode not in PERMANENT_CODES)
    return output


def keys(tool, configuration, folder, seconds):
    """The keys of the cells of a configuration, in its order."""
    return [row["key"] for row in json.loads(run([tool, "replay", "--config", configuration, "--list-cells", "--json"], seconds, folder))]


def run_cell(tool, configuration, key, output, folder, threads, seconds):
    """Runs one cell and gives the files that it leaves, by their paths within the output folder.

    A cell that was begun in the same output folder goes on where it was.
    """
    command = [tool, "replay", "--config", configuration, "--output", str(output), "--cell", key, "--threads", str(threads), "--quiet"]
    run(command + ["--worker-of", str(os.getpid())], seconds, folder)
    names = ["configuration.yaml", f"cells/{key}.json", f"predictions/{key}.npy"]
    return {name: (output / name).read_bytes() for name in names if (output / name).exists()}


def merge(tool, configuration, parts, output, folder, seconds):
    """Joins finished cells and makes the tables; gives what tta prints."""
    return run([tool, "replay", "--config", configuration, "--output", str(output), "--merge", str(parts)], seconds, folder)


def write(path, content):
    """Writes a file whole or not at all."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
