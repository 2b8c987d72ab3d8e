"""Runs a replay on a Ray cluster: every cell is a task, results are merged into the files of a local run.

The configuration is a YAML file as tta replay reads it, with the keys that the options would have. Program, weights and data must be at the same
paths on all machines. Finished cells are kept: the same command again goes on with the others.
Example: tta-replay-ray --config run.yaml --output out --address auto
"""
import argparse
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import sys


def parser():
    options = argparse.ArgumentParser(prog="tta-replay-ray", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", required=True, type=pathlib.Path, help="what to replay")
    options.add_argument("--output", required=True, type=pathlib.Path, help="where results go")
    options.add_argument("--address", default="auto", help="of the cluster; local starts one of this machine (default: auto)")
    options.add_argument("--tta", default="tta", help="the program, on every machine (default: tta on the PATH)")
    options.add_argument("--threads", type=int, default=1, help="processors of a cell (default: 1)")
    options.add_argument("--attempts", type=int, default=4, help="of a cell whose machine was lost or whose time was over (default: 4)")
    options.add_argument("--cell-timeout", type=float, default=86_400, metavar="SECONDS", help="for one cell (default: a day)")
    options.add_argument("--idle-timeout", type=float, default=600, metavar="SECONDS", help="wait for a free processor (default: 600)")
    options.add_argument("--connect-timeout", type=float, default=120, metavar="SECONDS", help="for the cluster to answer (default: 120)")
    options.add_argument(
        "--scratch", type=pathlib.Path, help="states of unfinished cells; shared by all machines, a lost cell goes on where it was elsewhere")
    return options


def connect(address, seconds):
    """Joins the cluster; ends the program where it does not answer in time."""
    import ray

    def give_up(number, frame):
        raise TimeoutError(f"the cluster at {address} did not answer within {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return ray


def execute(options):
    from . import cluster, tool

    folder = os.getcwd()
    parts = options.output / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    with open(parts / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise cluster.Failed(f"{options.output}: another process is replaying into it") from None
        text = options.config.read_bytes()
        request = parts / "request.yaml"
        if request.exists() and request.read_bytes() != text:
            raise cluster.Failed(f"{options.output}: holds cells of another configuration; name another --output, or delete it")
        tool.write(request, text)
        keys = tool.keys(options.tta, str(options.config), folder, options.connect_timeout)
        ray = connect(options.address, options.connect_timeout)
        print(f"{len(keys)} cells, {int(ray.cluster_resources().get('CPU', 0))} CPUs on {len(ray.nodes())} machines", flush=True)
        settings = {
            "tool": options.tta, "folder": folder, "threads": options.threads, "cell_seconds": options.cell_timeout,
            "scratch": str(options.scratch.resolve()) if options.scratch else None,
            "run": hashlib.sha256(text + str(options.output.resolve()).encode()).hexdigest()[:12],
        }
        run = cluster.Run(
            settings, text, keys, parts, options.attempts, options.idle_timeout, lambda line: print(line, flush=True))
        run.run()
        sys.stdout.write(tool.merge(options.tta, str(options.config), parts, options.output, folder, options.idle_timeout))
    shutil.rmtree(parts)


def main():
    options = parser().parse_args()
    # What is still running ends with this process: a kill becomes an exception.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    from . import cluster, tool
    try:
        execute(options)
    except (cluster.Failed, tool.ToolFailed, TimeoutError, ConnectionError, OSError) as error:
        sys.exit(f"error: {error}" if not str(error).startswith("error:") else str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; finished cells are kept: the same command goes on")


if __name__ == "__main__":
    main()
