"""Writes expected.json: what PyTorch computes for each family of architectures with weights from a formula.

Usage: python3 generate.py [--robustbench FOLDER] [--only NAME,NAME]
Needs torch, torchvision and timm; FOLDER is the unpacked wheel of robustbench, whose model files are imported one by one.

Weights: u = top 24 bits of splitmix64(fnv1a64(name) + index · 0x9E3779B97F4A7C15) / 2^24, then by role
(convolution and linear weights: ±sqrt(3 / inputs); norm scale 0.5 + u; shifts and biases ±0.1; means ±0.1; variances 0.5 + u; tokens ±0.05).
Images: the same u for the name "images". Each case holds logits in float64 (source, batch statistics, and after one TENT step of SGD with
learning rate 1e-4) and how far float32 drifts from them.
"""

import argparse
import importlib.util
import json
import math
import pathlib

import numpy
import torch

HERE = pathlib.Path(__file__).parent


def uniform(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(h) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2**24


def value(name, shape, is_norm):
    u = uniform(name, math.prod(shape))
    last = name.rsplit(".", 1)[-1]
    if last in ("cls_token", "pos_embed", "class_token", "pos_embedding"):
        v = 0.1 * u - 0.05
    elif last == "running_var" or (is_norm and last == "weight"):
        v = 0.5 + u
    elif last == "running_mean" or last in ("bias", "in_proj_bias"):
        v = 0.2 * u - 0.1
    elif last in ("layer_scale", "gamma"):
        v = 0.5 + u
    else:
        v = (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:]))
    return torch.tensor(v.astype(numpy.float32).reshape(shape))


NORMS = (torch.nn.BatchNorm2d, torch.nn.LayerNorm, torch.nn.GroupNorm)


def fill(model):
    norms = {name for name, module in model.named_modules() if isinstance(module, NORMS)}
    state = model.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        state[name] = value(name, tuple(tensor.shape), name.rpartition(".")[0] in norms)
    model.load_state_dict(state)


def batch_statistics(model):
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.track_running_stats = False
            module.running_mean = module.running_var = None


def logits(make, images, dtype, kind):
    model = make().eval()
    fill(model)
    model = model.to(dtype)
    images = images.to(dtype)
    if kind == "source":
        with torch.no_grad():
            return model(images).double()
    batch_statistics(model)
    parameters = [p for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)]
    if kind == "batch" or not parameters:
        with torch.no_grad():
            return model(images).double()
    model.requires_grad_(False)
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.SGD(parameters, lr=1e-4)
    out = model(images)
    (-(out.softmax(1) * out.log_softmax(1)).sum(1)).mean().backward()
    optimizer.step()
    with torch.no_grad():
        return model(images).double()


def cases(folder):
    import timm
    import torchvision.models as tv

    def robust(file, make):
        spec = importlib.util.spec_from_file_location(file, pathlib.Path(folder) / "robustbench/model_zoo/architectures" / (file + ".py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return lambda: make(module)

    plain = {"num_classes": 10}
    for name in ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2", "efficientnet_b0", "densenet121",
                 "convnext_tiny"]:
        yield "torchvision/" + name, 64, 4, (lambda name=name: getattr(tv, name)(**plain))
    yield "torchvision/vgg11_bn", 32, 4, lambda: tv.vgg11_bn(**plain)
    yield "torchvision/alexnet", 64, 4, lambda: tv.alexnet(**plain)
    yield "torchvision/vit_b_16", 32, 4, lambda: tv.vit_b_16(image_size=32, **plain)
    yield "timm/vit_small_patch16_224", 32, 4, lambda: timm.create_model("vit_small_patch16_224", img_size=32, **plain)
    for name in ["resnet50_gn", "efficientnet_b0", "mobilenetv2_100", "convnext_tiny"]:
        yield "timm/" + name, 64, 4, (lambda name=name: timm.create_model(name, **plain))
    if folder:
        yield "preact-resnet18", 32, 4, robust("resnet", lambda m: m.PreActResNet(m.PreActBlockV2, [2, 2, 2, 2], bn_before_fc=True))
        yield "cifar-resnet18", 32, 4, robust("resnet", lambda m: m.ResNet(m.BasicBlock, [2, 2, 2, 2]))
        yield "resnext29-32x4d", 32, 4, robust("resnext", lambda m: m.CifarResNeXt(m.ResNeXtBottleneck, 29, 4, 32, 10))
        yield "wide-resnet-40-2", 32, 4, robust("wide_resnet", lambda m: m.WideResNet(depth=40, widen_factor=2))
        identity = {"mean": (0, 0, 0), "std": (1, 1, 1)}
        yield "dm-wide-resnet-28-10", 32, 2, robust("dm_wide_resnet", lambda m: m.DMWideResNet(10, 28, 10, m.Swish, **identity))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robustbench")
    parser.add_argument("--only", help="make these again; without it those that are missing are made")
    arguments = parser.parse_args()
    path = HERE / "expected.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    for name, size, count, make in cases(arguments.robustbench):
        if name in result if not arguments.only else name not in arguments.only.split(","):
            continue
        images = torch.tensor(uniform("images", count * 3 * size * size).astype(numpy.float32).reshape(count, 3, size, size))
        case = {"input_size": size, "images": count}
        for kind in ("source", "batch", "tent"):
            exact = logits(make, images, torch.float64, kind)
            single = logits(make, images, torch.float32, kind)
            case[kind] = [float(f"{x:.9g}") for x in exact.flatten().tolist()]
            case[kind + "_drift"] = float(f"{(exact - single).abs().max().item():.3g}")
        result[name] = case
        path.write_text(json.dumps(result, sort_keys=True) + "\n")
        print(name, {k: v for k, v in case.items() if "drift" in k}, "largest logit", max(map(abs, case["source"])), flush=True)


if __name__ == "__main__":
    main()
