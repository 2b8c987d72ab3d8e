"""The scripts on small files made here; nothing is downloaded from elsewhere than this machine."""
import contextlib
import functools
import hashlib
import http.server
import io
import os
import pathlib
import pickle
import struct
import sys
import tempfile
import threading
import unittest
import zlib

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import convert  # noqa: E402
import fetch  # noqa: E402
import generate  # noqa: E402
import matlab  # noqa: E402
import restricted_pickle  # noqa: E402
from common import Problem  # noqa: E402


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.random = np.random.default_rng(1)

    def call(self, main, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main([str(argument) for argument in arguments])
        return out.getvalue()

    def problem(self, main, *arguments):
        with self.assertRaises(Problem) as context:
            self.call(main, *arguments)
        return str(context.exception)

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


class HelpTest(Case):
    def test_every_script_explains_itself(self):
        for script in (fetch, convert, generate):
            with self.assertRaises(SystemExit) as context:
                self.call(script.main, "--help")
            self.assertEqual(context.exception.code, 0)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A server that answers ranges, and can cut the first answer short."""
    cut = 0

    def do_GET(self):
        data = pathlib.Path(self.translate_path(self.path)).read_bytes()
        start = int(self.headers["Range"].split("=")[1].rstrip("-")) if self.headers["Range"] else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = Ranges.cut or len(data)
        Ranges.cut = 0
        self.wfile.write(data[start:end])

    def log_message(self, *arguments):
        pass


class FetchTest(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "served").mkdir()
        handler = functools.partial(Ranges, directory=str(self.folder / "served"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.data = self.random.bytes(3 << 20)
        self.write("served/a.bin", self.data)
        self.address = f"http://127.0.0.1:{self.server.server_port}/a.bin"
        self.saved = dict(fetch.SOURCES)
        self.addCleanup(lambda: (fetch.SOURCES.clear(), fetch.SOURCES.update(self.saved)))

    def test_checksums_decide(self):
        for algorithm in ("md5", "sha256"):
            digest = hashlib.new(algorithm, self.data).hexdigest()
            fetch.SOURCES["toy"] = ("a toy", [(self.address, "a.bin", f"{algorithm}:{digest}")])
            self.assertIn(f"{algorithm} as expected", self.call(fetch.main, "toy", "--output", self.folder / "out"))
            fetch.SOURCES["toy"] = ("a toy", [(self.address, "a.bin", f"{algorithm}:0")])
            self.assertEqual(self.problem(fetch.main, "toy", "--output", self.folder / "out"),
                             f"{self.folder}/out/a.bin: {algorithm} {digest}, expected 0")

    def test_every_file_has_a_checksum(self):
        lengths = {"md5": 32, "sha256": 64}
        for name, (_, files) in fetch.SOURCES.items():
            for _, file, checksum in files:
                algorithm, value = checksum.split(":")
                self.assertRegex(value, "^[0-9a-f]{%d}$" % lengths[algorithm], f"{name} {file}")

    def test_interrupted_downloads_go_on(self):
        path = self.folder / "a.bin"
        Ranges.cut = 2_000_000
        with self.assertRaises(Exception):
            fetch.download(self.address, path)
        self.assertFalse(path.exists())
        left = (self.folder / "a.bin.partial").stat().st_size
        self.assertTrue(0 < left <= 2_000_000)
        fetch.download(self.address, path)
        self.assertEqual(path.read_bytes(), self.data)
        # All bytes were there but the name: nothing is downloaded again.
        os.rename(path, self.folder / "a.bin.partial")
        fetch.download(self.address, path)
        self.assertEqual(path.read_bytes(), self.data)

    def test_dry_runs_and_wrong_names(self):
        text = self.call(fetch.main, "cifar10", "--dry-run", "--output", self.folder / "none")
        self.assertIn("cifar-10-binary.tar.gz (sha256:", text)
        self.assertFalse((self.folder / "none").exists())
        self.assertEqual(self.problem(fetch.main, "cifar11"), 'unknown data set "cifar11"')
        self.assertIn("https://zenodo.org/records/2535967", self.call(fetch.main, "--list"))


class PickleTest(Case):
    def batch(self, **extra):
        self.rows = self.random.integers(0, 256, (6, 3072), dtype=np.uint8)
        return {b"data": self.rows, b"labels": [3, 1, 4, 1, 5, 9], **extra}

    def test_batches(self):
        for protocol in (0, 2, 4):
            path = self.write("test_batch", pickle.dumps(self.batch(), protocol))
            self.call(convert.main, "cifar-pickle", path, "--output", self.folder / "out")
            images = np.load(self.folder / "out/images.npy")
            np.testing.assert_array_equal(images.transpose(0, 3, 1, 2).reshape(6, 3072), self.rows)
            np.testing.assert_array_equal(np.load(self.folder / "out/labels.npy"), [3, 1, 4, 1, 5, 9])

    def test_fine_labels(self):
        batch = self.batch()
        batch[b"fine_labels"] = [99, 0, 1, 2, 3, 4]
        text = self.call(convert.main, "cifar-pickle", self.write("test", pickle.dumps(batch)), "--output", self.folder / "out", "--dry-run")
        self.assertIn("6 pictures of 32x32 pixels, 100 classes", text)
        self.assertFalse((self.folder / "out").exists())

    def test_code_is_refused(self):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {evil}",)

        evil = self.folder / "touched"
        message = self.problem(convert.main, "cifar-pickle", self.write("evil", pickle.dumps(Evil())), "--output", self.folder / "out")
        self.assertIn("posix.system, which is not allowed", message)
        self.assertFalse(evil.exists())
        for damaged in (b"", b"\x80\x04", pickle.dumps(self.batch())[:-500]):
            with self.assertRaises(Problem):
                restricted_pickle.load(self.write("damaged", damaged))
        self.assertIn("expected a dictionary", self.problem(convert.main, "cifar-pickle", self.write("list", pickle.dumps([1])), "--output", "x"))


class BinaryTest(Case):
    def test_both_versions(self):
        for head, flag in ((1, []), (2, ["--cifar100"])):
            rows = self.random.integers(0, 256, (4, head + 3072), dtype=np.uint8)
            rows[:, :head] = [[7] * head] * 4
            path = self.write("data.bin", rows.tobytes())
            self.call(convert.main, "cifar-binary", path, *flag, "--output", self.folder / "out")
            images = np.load(self.folder / "out/images.npy")
            np.testing.assert_array_equal(images[2, :, :, 1].reshape(-1), rows[2, head + 1024:head + 2048])
            self.assertEqual(np.load(self.folder / "out/labels.npy").tolist(), [7] * 4)
        self.assertIn("has 3000 bytes", self.problem(convert.main, "cifar-binary", self.write("x", bytes(3000)), "--output", "x"))
        self.assertIn("labels 0...200", self.problem(
            convert.main, "cifar-binary", self.write("x", bytes(3073) + b"\xc8" + bytes(3072)), "--output", self.folder / "out"))


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matlab_matrix(name, array, kind, storage):
    head = element(6, struct.pack("<II", kind, 0)) + element(5, np.array(array.shape, "<i4").tobytes())
    name_tag = struct.pack("<I", len(name) << 16 | 1) + name.encode().ljust(4, b"\0")
    return element(14, head + name_tag + element(storage, array.tobytes(order="F")))


class MatlabTest(Case):
    def file(self, *matrices, compressed=True):
        body = b"".join(struct.pack("<II", 15, len(z)) + z for z in map(zlib.compress, matrices)) if compressed else b"".join(matrices)
        return self.write("test_32x32.mat", b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + body)

    def test_svhn(self):
        pictures = self.random.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
        labels = np.array([[10], [1], [9], [2], [10]], "<f8")
        for compressed in (True, False):
            path = self.file(matlab_matrix("X", pictures, 9, 2), matlab_matrix("y", labels, 6, 9), compressed=compressed)
            self.call(convert.main, "svhn", path, "--output", self.folder / "out")
            np.testing.assert_array_equal(np.load(self.folder / "out/images.npy"), pictures.transpose(3, 0, 1, 2))
            self.assertEqual(np.load(self.folder / "out/labels.npy").tolist(), [0, 1, 9, 2, 0])

    def test_damaged_files(self):
        pictures = np.zeros((32, 32, 3, 2), np.uint8)
        good = self.file(matlab_matrix("X", pictures, 9, 2)).read_bytes()
        self.assertIn("expected X and y", self.problem(convert.main, "svhn", self.folder / "test_32x32.mat", "--output", "x"))
        for length in list(range(0, 200)) + [len(good) - 9]:
            path = self.write("cut.mat", good[:length])
            try:
                self.assertNotIn("y", matlab.load(path))
            except Problem:
                pass
        plain = self.file(matlab_matrix("X", pictures, 9, 2), compressed=False).read_bytes()
        self.assertIn("is truncated", self.problem(convert.main, "svhn", self.write("cut.mat", plain[:2000]), "--output", "x"))


class ImageNetTest(Case):
    def test_folders_per_class(self):
        for number in range(3):
            self.write(f"val/ILSVRC2012_val_0000000{number + 1}.JPEG", bytes([number]))
        labels = self.write("wnids.txt", b"n01440764\nn01443537\nn01440764\n")
        arguments = ["imagenet-val", self.folder / "val", "--labels", labels, "--output", self.folder / "out"]
        self.assertIn("3 pictures of 2 classes", self.call(convert.main, *arguments, "--dry-run"))
        self.assertFalse((self.folder / "out").exists())
        for _ in range(2):
            self.call(convert.main, *arguments)
            self.assertEqual((self.folder / "out/n01440764/ILSVRC2012_val_00000003.JPEG").read_bytes(), b"\2")
        labels.write_text("n01440764\n../../x\nn01440764\n")
        self.assertIn('"../../x" at place 1', self.problem(convert.main, *arguments))
        labels.write_text("n01440764\n")
        self.assertEqual(self.problem(convert.main, *arguments), "1 wnids for 3 pictures")


class GenerateTest(Case):
    STUB = """#!/usr/bin/env python3
import sys, pathlib, numpy as np
a = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1] == "corrupt" and a["--seed"] == "7", sys.argv
if a["--corruption"] == "fgo": sys.exit("error: unknown corruption\\nhint: nearest names: fog")
out = pathlib.Path(a["--output"]); out.mkdir(parents=True)
np.save(out / (a["--corruption"].replace("-", "_") + ".npy"), np.load(sys.argv[2]) + np.uint8(int(a["--severity"])))
"""

    def setUp(self):
        super().setUp()
        self.tta = self.write("tta", self.STUB.encode())
        self.tta.chmod(0o755)
        (self.folder / "in").mkdir()
        self.images = self.random.integers(0, 200, (3, 4, 4, 3), dtype=np.uint8)
        np.save(self.folder / "in/images.npy", self.images)
        np.save(self.folder / "in/labels.npy", np.array([2, 0, 1]))

    def arguments(self, corruptions):
        return [self.folder / "in", "--output", self.folder / "out", "--corruptions", corruptions, "--seed", 7, "--tta", self.tta]

    def test_blocks_by_severity(self):
        self.assertIn("fog.npy: 15x4x4x3 uint8", self.call(generate.main, *self.arguments("fog"), "--dry-run"))
        self.assertFalse((self.folder / "out").exists())
        self.call(generate.main, *self.arguments("fog,gaussian-noise"))
        made = np.load(self.folder / "out/gaussian_noise.npy")
        for severity in range(1, 6):
            np.testing.assert_array_equal(made[3 * severity - 3:3 * severity], self.images + severity)
        self.assertEqual(np.load(self.folder / "out/labels.npy").tolist(), [2, 0, 1] * 5)
        self.assertEqual(
            sorted(p.name for p in (self.folder / "out").iterdir()), ["fog.npy", "gaussian_noise.npy", "generated.json", "labels.npy"])
        self.assertIn("there already", self.call(generate.main, *self.arguments("fog")))

    def test_problems(self):
        self.assertIn("exit code 1: error: unknown corruption", self.problem(generate.main, *self.arguments("fgo")))
        self.call(generate.main, *self.arguments("fog"))
        np.save(self.folder / "in/images.npy", self.images + 1)
        self.assertIn("was made from other pictures", self.problem(generate.main, *self.arguments("fog")))
        os.remove(self.folder / "in/labels.npy")
        self.assertIn("labels.npy does not exist", self.problem(generate.main, *self.arguments("fog")))


if __name__ == "__main__":
    unittest.main()
