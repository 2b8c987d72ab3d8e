"""Writes the graphs of this folder: networks of torchvision and timm as PyTorch exports them, without their weights.

Usage: python3 generate.py
Needs torch, onnx, onnxscript, torchvision and timm. EXPORTER.LIBRARY.NAME.onnx is the network of ../architectures/generate.py with norm layers kept: `dynamo`
is the newer exporter with constants folded (as datasets-scripts/export_onnx.py does), `script` the older one, `shared` the older one of a network as it
is made, where equal tensors are stored once and handed on by Identity. Tensors of more than 64 numbers are said to lie in weights.bin, one
after the other; a test makes that file.
"""

import importlib.util
import pathlib
import sys
import tempfile

import onnx
import torch

HERE = pathlib.Path(__file__).parent
CASES = {
    "dynamo": ["torchvision/resnet18", "torchvision/wide_resnet50_2", "torchvision/mobilenet_v2", "torchvision/efficientnet_b0",
               "torchvision/convnext_tiny", "torchvision/densenet121", "torchvision/vit_b_16", "timm/vit_small_patch16_224", "timm/resnet50_gn"],
    "script": ["torchvision/resnet18", "torchvision/wide_resnet50_2", "torchvision/mobilenet_v2", "torchvision/efficientnet_b0", "torchvision/convnext_tiny", "torchvision/vit_b_16"],
    "shared": ["torchvision/resnet18"],
}


def references():
    spec = importlib.util.spec_from_file_location("references", HERE.parent / "architectures/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def export(exporter, model, images, path):
    if exporter == "dynamo":
        sys.path.insert(0, str(HERE.parent.parent.parent / "datasets-scripts"))
        import export_onnx
        return export_onnx.export(model, images, path)
    torch.onnx.export(
        model, (images,), str(path), dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, input_names=["images"], output_names=["logits"],
        dynamic_axes={"images": {0: "batch"}}, opset_version=17)


def without_weights(model):
    offset = 0
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.size > 64 and values.dtype == "float32":
            tensor.ClearField("float_data")
            tensor.raw_data = values.tobytes()
            onnx.external_data_helper.set_external_data(tensor, "weights.bin", offset, values.nbytes)
            tensor.ClearField("raw_data")
            offset += values.nbytes
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:], model.functions[:]
    return model


def main():
    known = references()
    makers = {name: (size, count, make) for name, size, count, make in known.cases(None)}
    for exporter, names in CASES.items():
        for name in names:
            size, count, make = makers[name]
            torch.manual_seed(0)
            model = make().eval()
            if exporter != "shared":
                known.fill(model)
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "model.onnx"
                export(exporter, model, torch.rand(count, 3, size, size), path)
                graph = without_weights(onnx.load(str(path)))
            target = HERE / f"{exporter}.{name.replace('/', '.')}.onnx"
            target.write_bytes(graph.SerializeToString())
            print(target.name, target.stat().st_size)


if __name__ == "__main__":
    main()
