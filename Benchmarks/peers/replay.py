"""A corruption benchmark as a Python script would run it: pictures are corrupted by a package from PyPI while PyTorch adapts TENT's ResNet-20.

The fifteen standard corruptions one after the other, no reset between them; background processes make the pictures. Prints errors as JSON.
Needs torch, safetensors, numpy and imagecorruptions or imagecorruptions-imaug (see Benchmarks/corruptions.py).
Example: python3 Benchmarks/peers/replay.py --weights resnet20.safetensors --images test.npy --labels test_labels.npy
"""
import argparse
import json
import os

import numpy as np
import torch
from safetensors.torch import load_file

import adaptation
import networks

CORRUPTIONS = [
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost", "fog",
    "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
]


def accept_multichannel():
    """The original package smooths with scikit-image by an argument that later versions have renamed."""
    try:
        import skimage.filters
    except ImportError:
        return
    renamed = skimage.filters.gaussian

    def gaussian(image, sigma=1, multichannel=False, **options):
        return renamed(image, sigma=sigma, **({"channel_axis": -1} if multichannel else {}), **options)

    skimage.filters.gaussian = gaussian


class CorruptedPictures(torch.utils.data.Dataset):
    """All pictures under one corruption after the other, as normalised tensors."""

    def __init__(self, images, labels, severity, mean, deviation):
        self.images, self.labels, self.severity = images, labels, severity
        self.mean, self.deviation = torch.tensor(mean).view(3, 1, 1), torch.tensor(deviation).view(3, 1, 1)

    def __len__(self):
        return len(CORRUPTIONS) * len(self.images)

    def __getitem__(self, index):
        from imagecorruptions import corrupt

        domain, place = divmod(index, len(self.images))
        np.random.seed(index)
        picture = corrupt(self.images[place], severity=self.severity, corruption_name=CORRUPTIONS[domain])
        tensor = torch.from_numpy(np.array(picture, np.uint8)).permute(2, 0, 1).float() / 255
        return (tensor - self.mean) / self.deviation, int(self.labels[place])


def load(path):
    """ResNet-20 with weights whose blocks are numbered within their stages."""
    model, _ = networks.build("cifar-resnet20")
    values = {}
    for name, value in load_file(path).items():
        parts = name.split(".")
        if parts[0].startswith("layer"):
            name = ".".join(["blocks", str(3 * (int(parts[0][5:]) - 1) + int(parts[1]))] + parts[2:])
        values[name] = value
    missing, unexpected = model.load_state_dict(values, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise SystemExit(f"{path}: not ResNet-20: missing {missing}, unexpected {unexpected}")
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--images", required=True, help="uint8, pictures x height x width x 3")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--strategy", choices=adaptation.STRATEGIES, default="tent")
    parser.add_argument("--mode", choices=["eager", "channels_last", "compile"], default="eager")
    parser.add_argument("--severity", type=int, default=5)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="processes that make pictures; 0 makes them between the steps")
    options = parser.parse_args()
    accept_multichannel()
    torch.set_num_threads(options.threads)
    model = load(options.weights)
    optimizer = adaptation.configure(model, options.strategy)
    network = adaptation.in_mode(model, options.mode)
    images, labels = np.load(options.images), np.load(options.labels)
    if len(images) % options.batch:
        raise SystemExit(f"{len(images)} pictures: expected a multiple of --batch {options.batch}, so that no batch has two corruptions")
    data = CorruptedPictures(images, labels, options.severity, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    errors = dict.fromkeys(CORRUPTIONS, 0)
    loader = torch.utils.data.DataLoader(data, options.batch, num_workers=options.workers)
    for number, (pictures, truth) in enumerate(loader):
        logits = adaptation.step(network, optimizer, adaptation.layout(pictures, options.mode))
        errors[CORRUPTIONS[number * options.batch // len(images)]] += int((logits.argmax(1) != truth).sum())
    percents = {name: 100 * count / len(images) for name, count in errors.items()}
    print(json.dumps({
        "mode": options.mode, "errors": percents, "error_percent": sum(percents.values()) / len(percents), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
