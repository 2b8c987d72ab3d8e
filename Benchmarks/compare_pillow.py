#!/usr/bin/env python3
"""Compares decoding, resizing, cropping and tensors with Pillow and torchvision's rules, sample by sample.

Example:  python3 Benchmarks/compare_pillow.py write CASES      makes random pictures and what Pillow makes of them
          TTA_PILLOW_CASES=CASES swift test -c release --filter PillowComparison

Pictures are noise and slow waves made here. Needs Pillow and NumPy.
"""
import argparse
import io
import json
import pathlib
import zlib

import numpy as np
from PIL import Image
from PIL import __version__ as PILLOW

FILTERS = {"box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MODES = ["RGB", "L", "RGBA", "LA", "P", "1"]


def picture(random, width, height):
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = np.stack([127 + 120 * np.sin(x / random.uniform(2, 20) + y / random.uniform(2, 20)) for _ in range(3)], -1)
    share = random.uniform(0, 1)
    return np.clip(share * waves + (1 - share) * random.integers(0, 256, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(random, pixels):
    """A file of a random kind."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if random.random() < 0.5:
        mode = MODES[random.integers(len(MODES))]
        alpha = Image.fromarray(pixels[..., 0])
        if mode == "RGBA":
            image.putalpha(alpha)
        elif mode == "LA":
            image = image.convert("L")
            image.putalpha(alpha)
        elif mode == "P":
            image = image.quantize(int(random.integers(2, 257)))
        else:
            image = image.convert(mode)
        image.save(buffer, "PNG", compress_level=int(random.integers(0, 10)))
    else:
        mode = ["RGB", "L", "CMYK"][random.integers(3)]
        options = {"quality": int(random.integers(5, 101)), "progressive": bool(random.integers(2)), "optimize": bool(random.integers(2))}
        if mode == "RGB":
            options["subsampling"] = int(random.integers(3))
        image.convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def resize(image, size, filter_):
    """Rows first, then columns: the only order until Pillow 11. Later ones choose by size, which changes single samples of tall pictures."""
    if int(PILLOW.split(".")[0]) < 12:
        return image.resize(size, filter_)
    return image.resize((size[0], image.height), filter_).resize(size, filter_)


def centre_crop(pixels, size):
    """torchvision's CenterCrop on an array, padding included."""
    height, width = pixels.shape[:2]
    if width < size or height < size:
        left, top = max((size - width) // 2, 0), max((size - height) // 2, 0)
        right, bottom = max((size - width + 1) // 2, 0), max((size - height + 1) // 2, 0)
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
        height, width = pixels.shape[:2]
    top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
    return pixels[top:top + size, left:left + size]


def write(folder, count, seed):
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        width, height = (int(v) for v in np.exp(random.uniform(0, np.log(600), 2)))
        data = encoded(random, picture(random, width, height))
        (folder / f"{number}.bin").write_bytes(data)
        decoded = Image.open(io.BytesIO(data)).convert("RGB")
        new_width, new_height = (int(v) for v in np.exp(random.uniform(0, np.log(500), 2)))
        name = list(FILTERS)[random.integers(3)]
        resized = np.asarray(resize(decoded, (new_width, new_height), FILTERS[name]))
        crop = int(random.integers(1, 300))
        cropped = np.ascontiguousarray(centre_crop(resized, crop))
        tensor = cropped.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        cases.append({
            "file": f"{number}.bin", "from": [width, height], "to": [new_width, new_height], "filter": name, "crop": crop,
            "decoded": zlib.crc32(np.asarray(decoded).tobytes()), "resized": zlib.crc32(np.ascontiguousarray(resized).tobytes()),
            "cropped": zlib.crc32(cropped.tobytes()), "tensor": zlib.crc32(np.ascontiguousarray(tensor, "<f4").tobytes())})
    (folder / "cases.json").write_text(json.dumps(cases))
    print(f"{count} cases in {folder}, Pillow {PILLOW}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["write"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(options.folder, options.count, options.seed)


if __name__ == "__main__":
    main()
