"""One PyTorch measurement as JSON: a strategy on a network with fresh weights, on noise."""
import argparse
import json
import os
import resource
import statistics
import time

import torch

import adaptation
import networks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--strategy", choices=adaptation.STRATEGIES, default="tent")
    parser.add_argument("--mode", choices=["eager", "channels_last", "compile"], default="eager")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model, size = networks.build(options.architecture)
    images = adaptation.layout(torch.rand(options.batch, 3, size, size), options.mode)
    methods = {"eata": adaptation.Eata, "sar": adaptation.Sar, "vida": adaptation.Vida}
    if options.strategy.startswith("cotta") or options.strategy in methods:
        if options.strategy in methods:
            method = methods[options.strategy](model, options.mode)
        else:
            method = adaptation.Cotta(model, options.strategy, options.mode)

        def step():
            return method.step(images)

    else:
        optimizer = adaptation.configure(model, options.strategy)
        network = adaptation.in_mode(model, options.mode)

        def step():
            return adaptation.step(network, optimizer, images)

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
