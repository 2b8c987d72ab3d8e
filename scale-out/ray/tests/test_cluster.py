"""A replay on a real Ray cluster of two nodes with one CPU each, one of which is killed in the middle.

Needs ray and a tta, by TTA_TOOL or as the release build. The results must be those of a run on this machine alone, byte for byte, times and memory
aside.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "scale-out/ray"
TOOL = os.environ.get("TTA_TOOL", str(ROOT / ".build/release/tta"))
sys.path[:0] = [str(ROOT / "scripts"), str(PACKAGE)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# A lost node is noticed after seconds instead of half a minute.
os.environ["RAY_health_check_initial_delay_ms"] = "1000"
os.environ["RAY_health_check_period_ms"] = "500"

from ray.cluster_utils import Cluster  # noqa: E402
from replay_files import differences  # noqa: E402
from tta_replay_ray import tool  # noqa: E402

CONFIGURATION = """
model: shapes
strategies: [source, batch-norm, tent]
stream: {data: shapes, limit: LIMIT, batch: 50, setting: [continual, mixed-domains], corruptions: [fog, contrast, frost, elastic-transform],
  severities: [5], predictions: true}
"""
SECONDS = 300


class ClusterTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.configuration = self.folder / "run.yaml"

    def start(self, *more):
        return subprocess.Popen(
            [sys.executable, "-m", "tta_replay_ray.command", "--config", str(self.configuration), "--output", str(self.folder / "cluster"),
             "--tta", TOOL, "--cell-timeout", str(SECONDS), "--idle-timeout", str(SECONDS), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def watch(self, process, seconds=SECONDS):
        """The lines of a process as they come; it is ended when the time is over."""
        limit = threading.Timer(seconds, process.kill)
        limit.start()
        self.addCleanup(limit.cancel)
        for line in process.stdout:
            yield line.rstrip("\n")

    def processes(self):
        """Name, state and parent of every process that lives, by its number."""
        found = {}
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = status.read_text().rsplit(")", 1)
            except OSError:
                continue  # it has just ended
            state, parent = rest.split()[:2]
            if state != "Z":
                found[int(status.parent.name)] = (name.split("(", 1)[1], state, int(parent))
        return found

    def hold_a_cell_on(self, node, seconds=60):
        """Stops a tta that runs below the node's daemon, so that its cell cannot end before the node does; gives its number and its worker's."""
        daemon = node.all_processes["raylet"][0].process.pid
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.processes()
            for process, (name, _, worker) in found.items():
                if name == pathlib.Path(TOOL).name[:15] and worker in found and found[worker][2] == daemon:
                    try:
                        os.kill(process, signal.SIGSTOP)
                    except ProcessLookupError:
                        continue
                    time.sleep(0.02)
                    if self.processes().get(process, ("", "", 0))[1] == "T":
                        return process, worker
            time.sleep(0.02)
        self.fail(f"no cell on the second node within {seconds} s")

    def kill(self, node, process, worker, seconds=60):
        """Ends a node at once, and the process that was held there when its worker is gone."""
        remove = threading.Thread(target=self.cluster.remove_node, args=(node,), kwargs={"allow_graceful": False})
        remove.start()
        end = time.monotonic() + seconds
        while worker in self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(process, signal.SIGKILL)
        remove.join()
        self.assertNotIn(worker, self.processes())

    def test_results_are_those_of_one_machine_though_a_node_dies(self):
        self.configuration.write_text(CONFIGURATION.replace("LIMIT", "400"))
        subprocess.run(
            [TOOL, "replay", "--config", str(self.configuration), "--output", str(self.folder / "alone"), "--threads", "1", "--quiet"], check=True,
            timeout=SECONDS, stdout=subprocess.DEVNULL)
        self.cluster = cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20})
        self.addCleanup(cluster.shutdown)
        second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        cluster.wait_for_nodes(timeout=60)
        process = self.start("--address", cluster.address, "--scratch", str(self.folder / "scratch"))
        self.addCleanup(process.kill)
        lines, is_killed = [], False
        for line in self.watch(process):
            lines.append(line)
            if line.startswith("[1/6]") and not is_killed:
                self.kill(second, *self.hold_a_cell_on(second))
                is_killed = True
        errors = process.stderr.read()
        self.assertEqual(process.wait(timeout=30), 0, "\n".join(lines) + errors)
        self.assertTrue(is_killed)
        self.assertEqual(lines[0], "6 cells, 2 CPUs on 2 machines")
        self.assertTrue(any(line.startswith("again: ") and "lost" in line for line in lines), "\n".join(lines))
        self.assertEqual(sorted(line[1] for line in lines if line.startswith("[")), list("123456"))
        self.assertEqual(differences(self.folder / "alone", self.folder / "cluster"), [])
        self.assertFalse((self.folder / "cluster/parts").exists())

    def test_a_killed_run_goes_on_with_what_is_finished(self):
        self.configuration.write_text(CONFIGURATION.replace("LIMIT", "100"))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20})
        self.addCleanup(cluster.shutdown)
        process = self.start("--address", cluster.address)
        for line in self.watch(process):
            if line.startswith("[2/6]"):
                process.kill()
        process.communicate(timeout=30)
        finished = len(list((self.folder / "cluster/parts/cells").glob("*.json")))
        self.assertGreaterEqual(finished, 2)
        output, errors = self.start("--address", cluster.address).communicate(timeout=SECONDS)
        self.assertIn(f"{finished} of 6 cells are finished already", output.splitlines(), errors)
        self.assertTrue((self.folder / "cluster/report.html").exists())
        self.configuration.write_text(CONFIGURATION.replace("LIMIT", "80"))
        other = self.start("--address", cluster.address)
        other.communicate(timeout=SECONDS)
        # The tables are there: tta itself refuses another configuration, and names what differs.
        self.assertNotEqual(other.returncode, 0)


class ToolTest(unittest.TestCase):
    def test_a_wrong_request_is_not_tried_again(self):
        with self.assertRaises(tool.ToolFailed) as caught:
            tool.run([TOOL, "replay", "--model", "shapes", "--strategies", "tant", "--list-cells"], 60, "/")
        self.assertFalse(caught.exception.may_pass)
        self.assertIn('error: unknown strategy "tant"', str(caught.exception))

    def test_nothing_outlives_its_time(self):
        begin = time.monotonic()
        with self.assertRaises(tool.ToolFailed) as caught:
            tool.run(["sleep", "60"], 0.2, "/")
        self.assertLess(time.monotonic() - begin, 10)
        self.assertTrue(caught.exception.may_pass)
        self.assertEqual(str(caught.exception), "no end after 0.2 s: sleep 60")


if __name__ == "__main__":
    unittest.main()
