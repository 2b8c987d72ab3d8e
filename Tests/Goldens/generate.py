#!/usr/bin/env python3
"""Writes the picture files, the array files and the expectations that the tests of Vision and Streams compare with.

Needs Pillow and numpy (made with Pillow 13.0.0, numpy 2.4.6). All pictures are computed here; nothing comes from elsewhere.

    python3 Tests/Goldens/generate.py          writes pictures/, numpy/ and resampling.json beside this file
"""
import io
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
FILTERS = {"box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIZES = [  # width, height -> width, height
    ((64, 48), (32, 24)), ((64, 48), (63, 47)), ((64, 48), (17, 31)), ((64, 48), (1, 1)), ((64, 48), (64, 20)), ((64, 48), (20, 48)),
    ((31, 37), (62, 74)), ((31, 37), (100, 38)), ((31, 37), (224, 224)), ((5, 3), (64, 64)), ((1, 1), (7, 9)), ((500, 375), (341, 256)),
    ((333, 500), (256, 384)), ((32, 32), (224, 224)), ((224, 224), (32, 32)), ((97, 1), (13, 1)),
]


def noise(width, height):
    """Hashed coordinates with doubled contrast, so that filters overshoot at both ends."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    h = (x * 374761393 + y * 668265263 + c * 362437 + 12345) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return np.clip((((h >> 16) & 255) - 128) * 2 + 128, 0, 255).astype(np.uint8)


def smooth(width, height):
    """Slow waves, which JPEG keeps."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = [127 + 110 * np.sin(x / 5 + y / 9), 127 + 100 * np.cos(x / 7 - y / 4), 40 + 4 * ((x + y) % 50)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def crc(pixels):
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def resampling():
    cases = []
    for (width, height), (new_width, new_height) in SIZES:
        picture = Image.fromarray(noise(width, height))
        for name, filter_ in FILTERS.items():
            result = np.asarray(picture.resize((new_width, new_height), filter_))
            cases.append({"from": [width, height], "to": [new_width, new_height], "filter": name, "crc32": crc(result)})
    (HERE / "resampling.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(samples, depth, color_type, interlaced=False, extra=b""):
    """A PNG written by hand, for kinds that Pillow does not write. samples: [height, width, channels] of sample values."""
    height, width, channels = samples.shape

    def lines(part):
        out = b""
        for row in part:
            values = row.reshape(-1)
            if depth == 16:
                packed = values.astype(">u2").tobytes()
            elif depth == 8:
                packed = values.astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in values)
                bits += "0" * (-len(bits) % 8)
                packed = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            out += b"\0" + packed
        return out

    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in passes]
        data = b"".join(lines(part) for part in parts if part.size)
    else:
        data = lines(samples)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures():
    width, height = 23, 19
    rgb = noise(width, height)
    flat = smooth(width, height)
    wide = rgb.astype(int) * 257 // 2 + flat
    grey = Image.fromarray(flat).convert("L")
    palette = Image.fromarray(flat).quantize(13)
    alpha = Image.merge("RGBA", [*Image.fromarray(flat).split(), Image.fromarray(rgb[..., 0])])
    colours = chunk(b"PLTE", bytes(range(48)))
    transparent = chunk(b"tRNS", bytes([0, 128, 255]))
    cmyk = saved(Image.fromarray(flat).convert("CMYK"), "JPEG", quality=90)
    adobe = cmyk.index(b"Adobe") + 11  # the byte that says how the inks are coded
    files = {
        "png/rgb8.png": saved(Image.fromarray(rgb), "PNG"),
        "png/grey8.png": saved(grey, "PNG"),
        "png/grey1.png": saved(grey.convert("1"), "PNG"),
        "png/palette.png": saved(palette, "PNG"),
        "png/palette-transparent.png": saved(palette, "PNG", transparency=3),
        "png/palette4-interlaced.png": raw_png(flat[..., :1] // 16, 4, 3, True, colours + transparent),
        "png/grey2.png": raw_png(flat[..., :1] // 64, 2, 0),
        "png/grey4-interlaced.png": raw_png(flat[..., :1] // 16, 4, 0, True),
        "png/grey-alpha.png": saved(alpha.convert("LA"), "PNG"),
        "png/rgb-alpha.png": saved(alpha, "PNG"),
        "png/rgb8-interlaced.png": raw_png(rgb, 8, 2, True),
        "png/rgb8-transparent-text.png": raw_png(rgb, 8, 2, False, chunk(b"tEXt", b"Title\0noise") + chunk(b"tRNS", bytes(6))),
        "png/rgb16.png": raw_png(wide, 16, 2),
        "png/rgb16-alpha-interlaced.png": raw_png(np.concatenate([wide, wide[..., :1]], -1), 16, 6, True),
        "png/grey16.png": raw_png(wide[..., :1], 16, 0),
        "png/one-pixel.png": saved(Image.fromarray(rgb[:1, :1]), "PNG"),
        "jpeg/chroma-halved.jpg": saved(Image.fromarray(flat), "JPEG", quality=75),
        "jpeg/chroma-full.jpg": saved(Image.fromarray(flat), "JPEG", quality=95, subsampling=0),
        "jpeg/chroma-halved-across.jpg": saved(Image.fromarray(flat), "JPEG", quality=85, subsampling=1),
        "jpeg/noise.jpg": saved(Image.fromarray(rgb), "JPEG", quality=30, optimize=True),
        "jpeg/progressive.jpg": saved(Image.fromarray(flat), "JPEG", quality=80, progressive=True),
        "jpeg/restarts.jpg": saved(Image.fromarray(flat), "JPEG", quality=80, restart_marker_blocks=1),
        "jpeg/grey.jpg": saved(grey, "JPEG", quality=80),
        "jpeg/grey-progressive.jpg": saved(grey, "JPEG", quality=80, progressive=True),
        "jpeg/cmyk.jpg": cmyk,
        "jpeg/ycck.jpg": cmyk[:adobe] + b"\x02" + cmyk[adobe + 1:],
        "jpeg/orientation-6.jpg": saved(Image.fromarray(flat), "JPEG", quality=80, exif=bytes.fromhex(
            "45786966000049492a0008000000010012010300010000000600000000000000")),
    }
    expected = []
    for name, data in files.items():
        path = HERE / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if name == "png/grey16.png":  # Pillow clips such pictures at 255; the high byte is what it takes of 16-bit colour
            pixels = np.repeat((wide[..., :1] >> 8).astype(np.uint8), 3, -1)
        else:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        expected.append({"file": name, "width": pixels.shape[1], "height": pixels.shape[0], "crc32": crc(pixels)})
    (HERE / "pictures" / "expected.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in expected) + "\n]\n")


def arrays():
    folder = HERE / "numpy"
    folder.mkdir(exist_ok=True)
    np.save(folder / "pictures.npy", np.stack([noise(4, 3), smooth(4, 3)]))
    for name in ("uint8", "int32", "uint32", "int64"):
        np.save(folder / f"labels-{name}.npy", np.array([3, 0, 200, 7], name))
    np.save(folder / "scores.npy", np.array([[0.5, -1.25, 3e-3], [1e30, -0.0, 7]], "float32"))
    np.save(folder / "fortran.npy", np.asfortranarray(np.arange(6, dtype="uint8").reshape(2, 3)))
    np.save(folder / "float64.npy", np.arange(3.0))
    np.save(folder / "big-endian.npy", np.arange(3, dtype=">i4"))
    np.save(folder / "no-axes.npy", np.array(5, "int64"))
    with open(folder / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, np.arange(5, dtype="uint8"), version=(2, 0))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0)
    resampling()
    pictures()
    arrays()
