"""Writes the small checkpoints of this folder with torch.save. Usage: python3 generate.py

Element i of a tensor is i / 4 - 1, in row-major order of the tensor (or i % 5 for integers).
"""

import collections
import pathlib
import pickle

import torch

HERE = pathlib.Path(__file__).parent


def ramp(*shape):
    count = 1
    for length in shape:
        count *= length
    return (torch.arange(count, dtype=torch.float32) / 4 - 1).reshape(shape)


def state():
    model = torch.nn.Sequential(collections.OrderedDict(conv=torch.nn.Conv2d(3, 4, 3), bn=torch.nn.BatchNorm2d(4), fc=torch.nn.Linear(4, 2)))
    sd = model.state_dict()
    for name in sd:
        if not name.endswith("num_batches_tracked"):
            sd[name] = ramp(*sd[name].shape)
    return sd


def main():
    sd = state()
    torch.save(sd, HERE / "state.pt")
    torch.save(sd, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(sd, HERE / "protocol4.pt", pickle_protocol=4)
    wrapped = collections.OrderedDict(("module.model." + name, tensor) for name, tensor in sd.items())
    wrapped["module.normalize.mean"] = torch.tensor([0.5, 0.25, 0.125]).view(1, 3, 1, 1)
    wrapped["module.normalize.std"] = torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1)
    averaged = collections.OrderedDict((name, tensor + 1) for name, tensor in sd.items())
    torch.save({"epoch": 3, "state_dict": wrapped, "model_ema": averaged, "optimizer": {"lr": [0.1, None, True]}, "size": torch.Size([1, 2])},
               HERE / "wrapped.pt")
    base = ramp(4, 6)
    integers = torch.arange(6) % 5
    types = collections.OrderedDict(
        transposed=base.t(), column=base[:, 2], rows=base[1:3], shared=base, parameter=torch.nn.Parameter(ramp(3)), scalar=torch.tensor(0.25),
        empty=torch.zeros(0, 3))
    for name in ("float64", "float16", "bfloat16"):
        types[name] = ramp(2, 3).to(getattr(torch, name))
    for name in ("int64", "int32", "int16", "int8", "uint8"):
        types[name] = integers.to(getattr(torch, name))
    types["bool"] = torch.tensor([True, False])
    torch.save(types, HERE / "types.pt")
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pt")
    (HERE / "plain.pkl.pt").write_bytes(pickle.dumps({"weight": [1.0, 2.0]}, protocol=2))


if __name__ == "__main__":
    main()
