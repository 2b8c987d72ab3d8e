"""The cells of a replay as Ray tasks: attempts, time limits, what is finished already."""
import pathlib
import re
import socket
import tempfile
import time

import ray

from . import tool


class Failed(Exception):
    """The run cannot go on; what is finished is kept."""


def cell_task(settings, text, key):
    """Runs one cell on a node of the cluster; gives the node's name, the seconds it took and the files."""
    begin = time.monotonic()
    name = re.sub(r"[^A-Za-z0-9_.+-]", "-", key)
    scratch = pathlib.Path(settings["scratch"] or tempfile.gettempdir()) / f"tta-replay-ray-{settings['run']}" / name
    scratch.mkdir(parents=True, exist_ok=True)
    configuration = scratch / "request.yaml"
    tool.write(configuration, text)
    files = tool.run_cell(
        settings["tool"], str(configuration), key, scratch / "out", settings["folder"], settings["threads"], settings["cell_seconds"])
    return socket.gethostname(), time.monotonic() - begin, files


class Run:
    """The cells that are not finished yet, over a cluster that may lose nodes.

    `parts` holds what is finished: a folder as `tta replay --merge` reads it.
    """

    def __init__(self, settings, text, keys, parts, attempts, idle_seconds, report):
        self.settings, self.text, self.keys, self.parts = settings, text, keys, pathlib.Path(parts)
        self.attempts, self.idle_seconds, self.report = attempts, idle_seconds, report
        self.waiting = [key for key in keys if not self.is_finished(key)]
        self.tries = {key: 0 for key in self.waiting}
        # Ray's own retries would hide which attempt it is.
        self.task = ray.remote(num_cpus=settings["threads"], max_retries=0, scheduling_strategy="SPREAD")(cell_task)

    def is_finished(self, key):
        return (self.parts / "cells" / f"{key}.json").exists()

    def run(self):
        """Runs what is waiting. Raises Failed where a cell fails for good, or where nothing moves for too long."""
        total = len(self.keys)
        running = {self.start(key): key for key in self.waiting}
        if len(running) < total:
            self.report(f"{total - len(running)} of {total} cells are finished already")
        last = time.monotonic()
        try:
            while running:
                ended, _ = ray.wait(list(running), num_returns=1, timeout=1)
                # A cell has its own limit; beyond that and the patience, no node gave it a processor.
                if not ended and time.monotonic() - last > self.settings["cell_seconds"] + self.idle_seconds:
                    raise Failed(f"no cell ended for {time.monotonic() - last:.0f} s: has a node {self.settings['threads']} free CPUs?")
                for reference in ended:
                    last = time.monotonic()
                    key = running.pop(reference)
                    again = self.finish(key, reference, total - len(running))
                    if again:
                        running[again] = key
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def start(self, key):
        self.tries[key] += 1
        return self.task.remote(self.settings, self.text, key)

    def finish(self, key, reference, number):
        """Keeps what a cell left; gives a reference where it has to run again."""
        try:
            node, seconds, files = ray.get(reference, timeout=60)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, tool.ToolFailed) and not cause.may_pass:
                raise Failed(f"{key}: {cause}") from None
            return self.again(key, str(cause).splitlines()[0] if str(cause) else type(cause).__name__)
        except (ray.exceptions.RayError, TimeoutError) as error:
            return self.again(key, f"node or worker lost ({type(error).__name__})")
        self.keep(key, files)
        self.report(f"[{number}/{len(self.keys)}] {key}  {seconds:.1f} s  {node}")
        return None

    def again(self, key, reason):
        if self.tries[key] >= self.attempts:
            raise Failed(f"{key}: {reason}; {self.attempts} attempts")
        self.report(f"again: {key}: {reason}; attempt {self.tries[key] + 1} of {self.attempts}")
        return self.start(key)

    def keep(self, key, files):
        """The result of the cell itself is written last: it says that the others are there."""
        known = self.parts / "configuration.yaml"
        if known.exists() and known.read_bytes() != files["configuration.yaml"]:
            raise Failed(f"{key}: ran another configuration than the cells before: do all machines have the same weights, data and tta?")
        for name in sorted(files, key=lambda name: name.startswith("cells/")):
            tool.write(self.parts / name, files[name])
