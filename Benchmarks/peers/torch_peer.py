"""One PyTorch measurement as JSON: TENT, CoTTA (32 augmented views, or none), a step over all weights, a forward with batch statistics, or a plain
forward, after the released code of the methods."""
import argparse
import copy
import json
import os
import resource
import statistics
import time

import torch
import torch.nn as nn

import augmentation
import networks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--strategy", choices=["tent", "cotta", "cotta-confident", "all-weights", "batch-norm", "source"], default="tent")
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
    teachers = options.strategy.startswith("cotta")
    if options.strategy in ("tent", "all-weights") or teachers:
        everything = options.strategy != "tent"
        parameters = list(model.parameters()) if everything else [p for norm in norms for p in norm.parameters(recurse=False)]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(parameters, 1e-3)
    if options.mode == "channels_last":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    source = copy.deepcopy(list(model.parameters())) if teachers else None
    teacher, anchor = (copy.deepcopy(model).requires_grad_(False), copy.deepcopy(model).requires_grad_(False)) if teachers else (None, None)
    network = torch.compile(model) if options.mode == "compile" else model
    if teachers and options.mode == "compile":
        run_teacher, run_anchor = torch.compile(teacher), torch.compile(anchor)
    else:
        run_teacher, run_anchor = teacher, anchor
    threshold = 0.0 if options.strategy == "cotta-confident" else 0.92

    def cotta_step():
        logits = network(images)
        with torch.no_grad():
            confidence = run_anchor(images).softmax(1).max(1).values.mean()
            target = run_teacher(images)
            if confidence < threshold:
                target = torch.stack([run_teacher(augmentation.random_view(images)) for _ in range(32)]).mean(0)
        loss = -(target.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for ours, theirs, first in zip(teacher.parameters(), model.parameters(), source):
                ours.mul_(0.999).add_(theirs, alpha=0.001)
                mask = (torch.rand(theirs.shape) < 0.01).float()
                theirs.copy_(first * mask + theirs * (1 - mask))
        return target

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

    if teachers:
        step = cotta_step
    for _ in range(1 if options.strategy == "cotta" else 2):
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
