"""Classifiers of PyTorch libraries by name, in evaluation mode."""
from common import Problem

LIBRARIES = ("torchvision", "timm", "robustbench")


def add_arguments(parser):
    """What names a model: library, model, weights, classes."""
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("model", help="the library's name of the model (robustbench: DATASET/NAME)")
    parser.add_argument("--weights", help="a state dict (.pt, .pth, .safetensors)")
    parser.add_argument("--pretrained", action="store_true", help="the library's own weights (downloads them)")
    parser.add_argument("--classes", type=int, help="number of classes, where it is not the library's")


def create(library, name, pretrained, classes):
    import importlib
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise Problem(f"{library} cannot be imported: {error}", f"pip install {library}") from error
    if library == "robustbench":
        if not pretrained:
            raise Problem("robustbench gives models with their own weights only", "say --pretrained")
        data, _, model = name.partition("/")
        return module.utils.load_model(model, dataset=data, threat_model="corruptions")
    numbers = {} if classes is None else {"num_classes": classes}
    try:
        if library == "timm":
            return module.create_model(name, pretrained=pretrained, **numbers)
        return module.models.get_model(name, weights="DEFAULT" if pretrained else None, **numbers)
    except (ValueError, RuntimeError) as error:
        raise Problem(f"{library} has no model \"{name}\": {error}", "look the name up in the library's list of models") from error


def load(library, name, weights, pretrained, classes):
    """The model with its own weights, or those of a file."""
    import torch
    if weights and pretrained:
        raise Problem("--weights and --pretrained exclude each other", "leave one out")
    model = create(library, name, pretrained, classes)
    if weights:
        if weights.endswith(".safetensors"):
            import safetensors.torch
            state = safetensors.torch.load_file(weights)
        else:
            state = torch.load(weights, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            state = state.get(key, state) if isinstance(state.get(key), dict) else state
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise Problem(f"{weights} does not fit {name}: {str(error).splitlines()[0]}", "check the model's name and --classes") from error
    return model.eval()
