#!/usr/bin/env python3
"""Exports a classifier of torchvision, timm or RobustBench as an ONNX file that keeps norm layers and names, and checks its outputs.

Example:  python3 datasets-scripts/export_onnx.py torchvision resnet50 --output resnet50.onnx --pretrained
          python3 datasets-scripts/export_onnx.py timm vit_small_patch16_224 --output vit.onnx --weights vit.pt --input-size 224

PyTorch's exporter makes batch norms part of the convolutions unless it is told otherwise; nothing can adapt such a file. This one exports without
optimisation, computes constants, removes what nothing reads, compares onnxruntime with PyTorch, and counts the norm layers. Needs torch, onnx,
onnxscript and onnxruntime, and the library that defines the model. What it loads runs code of that library; a weight file is read as weights only.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import Problem, run  # noqa: E402
from torch_models import add_arguments, load  # noqa: E402

TOLERANCE = 1e-4


def export(model, images, path):
    """Writes the graph with a batch of any size; the opset is the exporter's."""
    import onnxscript.optimizer
    import torch
    program = torch.onnx.export(
        model, (images,), dynamo=True, optimize=False, dynamic_shapes=({0: torch.export.Dim("batch")},), input_names=["images"],
        output_names=["logits"], verbose=False)
    onnxscript.optimizer.fold_constants(program.model)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    program.save(str(path), external_data=False)


def norms(model):
    """Modules that normalise, by the operator they become."""
    import torch
    kinds = {
        "BatchNormalization": torch.nn.modules.batchnorm._BatchNorm, "LayerNormalization": torch.nn.LayerNorm,
        "GroupNormalization or InstanceNormalization": torch.nn.GroupNorm}
    return {name: sum(isinstance(module, kind) for module in model.modules()) for name, kind in kinds.items()}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="the new .onnx file")
    parser.add_argument("--input-size", type=int, default=224, help="height and width of the images (default: 224)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be exported and stop")
    options = parser.parse_args(arguments)
    if options.output.suffix != ".onnx":
        raise Problem(f"--output {options.output}: expected a name that ends in .onnx", "for example --output model.onnx")
    if options.dry_run:
        print(f"{options.library} {options.model}, images of {options.input_size} pixels -> {options.output}")
        return
    import numpy as np
    import onnx
    import onnxruntime
    import torch
    model = load(options.library, options.model, options.weights, options.pretrained, options.classes)
    images = torch.rand(3, 3, options.input_size, options.input_size, generator=torch.Generator().manual_seed(0))
    export(model, images, options.output)
    with torch.no_grad():
        expected = model(images).numpy()
    session = onnxruntime.InferenceSession(str(options.output), providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    difference = float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))
    if not difference <= TOLERANCE:
        options.output.unlink()
        raise Problem(f"onnxruntime differs from PyTorch by {difference:.1e} of the largest logit, allowed {TOLERANCE:.0e}",
                      "the exporter does not do this model; use export_safetensors.py and --architecture")
    counts = {}
    for node in onnx.load(str(options.output), load_external_data=False).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    found = ", ".join(f"{counts[name]} {name}" for name in counts if name.endswith("Normalization")) or "none"
    print(f"{options.output}: opset of the exporter, largest difference {difference:.1e}; norm layers: {found}")
    for kind, number in norms(model).items():
        if number and not sum(counts.get(name, 0) for name in kind.split(" or ")):
            print(f"warning: the model has {number} layers that become {kind}, the file has none", file=sys.stderr)


if __name__ == "__main__":
    run(main)
