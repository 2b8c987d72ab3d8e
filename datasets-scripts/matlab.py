"""Reads the numeric arrays of MATLAB 5 files, as SVHN is published; the standard library and NumPy are enough."""
import struct
import zlib

import numpy as np

from common import Problem

LARGEST = 1 << 31  # bytes of one array
TYPES = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
CLASSES = {6: "<f8", 7: "<f4", 8: "<i1", 9: "<u1", 10: "<i2", 11: "<u2", 12: "<i4", 13: "<u4", 14: "<i8", 15: "<u8"}
MATRIX, COMPRESSED = 14, 15


def elements(data, path):
    """The data elements of a byte string: (type, bytes)."""
    position = 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, position)
        if kind >> 16:  # a small element: its size and up to four bytes share the tag
            size, kind = kind >> 16, kind & 0xFFFF
            yield kind, data[position + 4:position + 4 + min(size, 4)]
            position += 8
            continue
        if size > LARGEST or position + 8 + size > len(data):
            raise Problem(f"{path} is truncated: an element of {size} bytes, {len(data) - position - 8} are left", "download it again")
        yield kind, data[position + 8:position + 8 + size]
        position += 8 + size + (0 if kind == COMPRESSED else -size % 8)


def matrix(data, path):
    """The name and the array of a matrix element."""
    parts = list(elements(data, path))
    if len(parts) < 4 or len(parts[0][1]) < 4 or parts[3][0] not in TYPES:
        raise Problem(f"{path} holds a matrix that is not numeric", "expected the arrays X and y of SVHN")
    kind = parts[0][1][0]
    shape = np.frombuffer(parts[1][1], "<i4")
    values = np.frombuffer(parts[3][1], TYPES[parts[3][0]])
    if kind not in CLASSES or (shape < 0).any() or int(np.prod(shape, dtype=object)) != len(values):
        raise Problem(f"{path} holds a matrix of {len(values)} values for the shape {shape.tolist()}", "download it again")
    return parts[2][1].decode("ascii", "replace"), values.astype(CLASSES[kind], copy=False).reshape(shape, order="F")


def load(path):
    """The numeric arrays of a file by name."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 128 or data[126:128] != b"IM":
        raise Problem(f"{path} is no MATLAB 5 file of a little-endian machine", "download test_32x32.mat again")
    arrays = {}
    for kind, content in elements(data[128:], path):
        if kind == COMPRESSED:
            inflater = zlib.decompressobj()
            try:
                content = inflater.decompress(content, LARGEST)
            except zlib.error as error:
                raise Problem(f"{path} is damaged: {error}", "download it again") from error
            kind, content = next(elements(content, path), (0, b""))
        if kind == MATRIX:
            name, array = matrix(content, path)
            arrays[name] = array
    return arrays
