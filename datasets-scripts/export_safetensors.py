#!/usr/bin/env python3
"""Saves the weights of a classifier of torchvision, timm or RobustBench as safetensors, and checks that they read back.

Example:  python3 datasets-scripts/export_safetensors.py torchvision resnet50 --output resnet50.safetensors --pretrained
          python3 datasets-scripts/export_safetensors.py robustbench cifar10/Standard --output standard.safetensors --pretrained

The names are those of the state dict; tensors that share memory are written once each. What the file cannot say, the flags of tta do:
--architecture, --mean and --std. Needs torch and safetensors, and the library that defines the model. What it loads runs code of that library; a
weight file is read as weights only.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import Problem, run  # noqa: E402
from torch_models import add_arguments, load  # noqa: E402


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="the new .safetensors file")
    parser.add_argument("--dry-run", action="store_true", help="say what would be saved and stop")
    options = parser.parse_args(arguments)
    if options.output.suffix != ".safetensors":
        raise Problem(f"--output {options.output}: expected a name that ends in .safetensors", "for example --output model.safetensors")
    if options.dry_run:
        print(f"{options.library} {options.model} -> {options.output}")
        return
    import safetensors.torch
    import torch
    model = load(options.library, options.model, options.weights, options.pretrained, options.classes)
    state = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    safetensors.torch.save_file(state, str(options.output))
    back = safetensors.torch.load_file(str(options.output))
    for name, value in state.items():
        if not torch.equal(back[name], value):
            raise Problem(f"{options.output}: {name} does not read back", "check the disk")
    print(f"{options.output}: {len(state)} tensors, {sum(value.numel() for value in state.values()):,} numbers")


if __name__ == "__main__":
    run(main)
