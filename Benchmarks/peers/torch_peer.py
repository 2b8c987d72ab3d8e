"""One PyTorch measurement as JSON: TENT, a step over all weights, a forward with batch statistics, or a plain forward, after the released code of TENT."""
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torch.nn as nn

import networks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--strategy", choices=["tent", "all-weights", "batch-norm", "source"], default="tent")
    parser.add_argument("--mode", choices=["eager", "channels_last", "compile"], default="eager")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model, size = networks.build(options.architecture)
    images = torch.rand(options.batch, 3, size, size)
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm))]
    model.requires_grad_(False)
    if options.strategy == "source":
        model.eval()
    else:
        model.train()
        for norm in norms:
            if isinstance(norm, nn.BatchNorm2d):
                norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    optimizer = None
    if options.strategy in ("tent", "all-weights"):
        everything = options.strategy == "all-weights"
        parameters = list(model.parameters()) if everything else [p for norm in norms for p in norm.parameters(recurse=False)]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(parameters, 1e-3)
    if options.mode == "channels_last":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    network = torch.compile(model) if options.mode == "compile" else model

    def step():
        if optimizer is None:
            with torch.no_grad():
                return network(images)
        logits = network(images)
        loss = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return logits

    for _ in range(2):
        step()
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "mode": options.mode, "images_per_second": options.batch / median, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "milliseconds": {"min": min(seconds) * 1e3, "median": median * 1e3, "max": max(seconds) * 1e3}, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
