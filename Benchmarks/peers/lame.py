"""LAME after its authors' released code (Boudiaf et al., CVPR 2022), in PyTorch: milliseconds per batch by number of images and of classes, as JSON.

The data are those of `tta bench --lame`: images in order of their classes, features of 512 around one centre per class.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

SIZES = [(64, 10), (64, 1000), (256, 10), (256, 1000), (1024, 10), (1024, 1000), (4096, 10), (4096, 1000)]


def clusters(images, classes, width=512):
    """Features, and probabilities that lean to the class."""
    labels = torch.arange(images) * classes // images
    centres = 2 * torch.rand(classes, width) - 1
    features = 2 * torch.rand(images, width) - 1 + centres[labels]
    logits = 3 * torch.rand(images, classes) + 2 * F.one_hot(labels, classes)
    return features, logits.softmax(1)


def affinity(features, neighbors=5):
    """A full matrix with a 1 at the nearest neighbours; the nearest hit is the point itself."""
    distance = torch.cdist(features, features)
    nearest = distance.topk(neighbors + 1, -1, largest=False).indices[:, 1:]
    return torch.zeros(len(features), len(features)).scatter_(-1, nearest, 1.0)


def lame(features, probabilities):
    """The fixed point, and the iterations to it."""
    unary = -torch.log(probabilities + 1e-10)
    kernel = affinity(F.normalize(features, p=2, dim=-1))
    answer, last = (-unary).softmax(-1), float("inf")
    for iteration in range(100):
        pairwise = kernel.matmul(answer)
        answer = (pairwise - unary).softmax(-1)
        energy = (unary * answer - pairwise * answer + answer * torch.log(answer.clip(1e-20))).sum().item()
        if iteration > 1 and abs(energy - last) <= 1e-8 * abs(last):
            break
        last = energy
    return answer, iteration + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(3)
    rows = []
    for images, classes in SIZES:
        features, probabilities = clusters(images, classes)
        seconds = []
        for _ in range(options.repeats + 1):
            start = time.perf_counter()
            _, iterations = lame(features, probabilities)
            seconds.append(time.perf_counter() - start)
        rows.append({"images": images, "classes": classes, "milliseconds": statistics.median(seconds[1:]) * 1e3, "iterations": iterations})
    print(json.dumps({"threads": options.threads, "repeats": options.repeats, "rows": rows}))


if __name__ == "__main__":
    main()
