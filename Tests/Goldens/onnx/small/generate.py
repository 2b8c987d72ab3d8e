"""Writes small classifiers for images of 8×8 pixels, weights included: seeds of the fuzzer and cases of the tests.

Usage: python3 generate.py
Needs onnx, onnxruntime and torch. Each .onnx has its logits for one image (pixel i of 192 is i / 192) in logits.json, as onnxruntime gives them.
"""

import json
import pathlib

import numpy
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent


class Convolutions(torch.nn.Module):
    """Convolution, batch norm, SiLU, squeeze and excitation, group norm, pooling, linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4)
        self.squeeze, self.group = torch.nn.Conv2d(4, 4, 1), torch.nn.GroupNorm(2, 4)
        self.fc = torch.nn.Linear(4, 3)

    def forward(self, x):
        x = torch.nn.functional.silu(self.norm(self.conv(x)))
        x = self.group(x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True))))
        return self.fc(torch.nn.functional.max_pool2d(torch.relu(x), 2).mean((2, 3)))


class Tokens(torch.nn.Module):
    """Patches, a token, positions, one block of a transformer."""

    def __init__(self):
        super().__init__()
        self.patch, self.token = torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.Parameter(torch.randn(1, 1, 8))
        self.position = torch.nn.Parameter(torch.randn(1, 5, 8))
        self.block = torch.nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True, dropout=0)
        self.fc = torch.nn.Linear(8, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.fc(self.block(x)[:, 0])


def decomposed():
    """Layer norm, batch norm and GELU as arithmetic; opset 11, where attributes are inputs elsewhere."""
    random = numpy.random.default_rng(0)
    constants, nodes = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(numpy.asarray(value, dtype=numpy.float32), name))
        return name

    def add(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    constant("conv.weight", random.normal(size=(4, 3, 3, 3)))
    for name in ("mean", "shift"):
        constant(name, random.normal(size=(1, 4, 1, 1)))
    for name in ("variance", "scale"):
        constant(name, random.uniform(0.5, 1.5, size=(1, 4, 1, 1)))
    add("Conv", ["images", "conv.weight"], "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    add("Sub", ["c", "mean"], "centred")
    add("Sqrt", [add("Add", ["variance", constant("e", 1e-5)], "v")], "deviation")
    add("Add", [add("Mul", [add("Div", ["centred", "deviation"], "q"), "scale"], "p"), "shift"], "normalised")
    add("Flatten", [add("AveragePool", ["normalised"], "pooled", kernel_shape=[4, 4], strides=[4, 4])], "flat", axis=1)
    add("ReduceMean", ["flat"], "m", axes=[-1], keepdims=1)
    add("Sub", ["flat", "m"], "d")
    add("ReduceMean", [add("Pow", ["d", constant("two", 2)], "squares")], "var", axes=[-1], keepdims=1)
    add("Sqrt", [add("Add", ["var", constant("e2", 1e-6)], "ve")], "root")
    constant("ln.weight", random.uniform(0.5, 1.5, size=16))
    constant("ln.bias", random.normal(size=16))
    add("Add", [add("Mul", [add("Div", ["d", "root"], "dq"), "ln.weight"], "dp"), "ln.bias"], "ln")
    add("Erf", [add("Div", ["ln", constant("r2", numpy.sqrt(2))], "scaled")], "erf")
    add("Mul", [add("Mul", ["ln", add("Add", ["erf", constant("one", 1)], "e1")], "g"), constant("half", 0.5)], "gelu")
    constant("fc.weight", random.normal(size=(16, 3)))
    constant("fc.bias", random.normal(size=3))
    add("Add", [add("MatMul", ["gelu", "fc.weight"], "mm"), "fc.bias"], "fc")
    add("Softmax", ["fc"], "probabilities", axis=1)
    graph = helper.make_graph(
        nodes, "decomposed", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def plain(model):
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:], model.functions[:]
    return model


def main():
    torch.manual_seed(0)
    image = (torch.arange(192, dtype=torch.float32) / 192).reshape(1, 3, 8, 8)
    for name, make in (("convolutions", Convolutions), ("tokens", Tokens)):
        module = make().eval()
        for key, value in module.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
        for exporter in ("dynamo", "script"):
            path = HERE / f"{name}.{exporter}.onnx"
            if exporter == "dynamo":
                import onnxscript.optimizer
                program = torch.onnx.export(module, (image.repeat(2, 1, 1, 1),), dynamo=True, optimize=False, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
                onnxscript.optimizer.fold_constants(program.model)
                onnxscript.optimizer.remove_unused_nodes(program.model)
                program.save(str(path), external_data=False)
            else:
                torch.onnx.export(module, (image,), str(path), dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, input_names=["images"],
                                  dynamic_axes={"images": {0: "batch"}}, opset_version=17)
            onnx.save(plain(onnx.load(str(path))), str(path))
    onnx.save(decomposed(), str(HERE / "decomposed.onnx"))
    # A batch that the file fixes, and half precision.
    fixed = onnx.load(str(HERE / "convolutions.script.onnx"))
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(fixed, str(HERE / "fixed-batch.onnx"))
    result = {}
    for path in sorted(HERE.glob("*.onnx")):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        result[path.name] = [float(value) for value in session.run(None, {session.get_inputs()[0].name: image.numpy()})[0].ravel()]
        print(path.name, path.stat().st_size)
    (HERE / "logits.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
