"""What PyTorch does to a network that adapts: TENT, a step over all weights, statistics of the batch, or nothing, after the released code of TENT."""
import torch
import torch.nn as nn

STRATEGIES = ["tent", "all-weights", "batch-norm", "source"]


def configure(model, strategy):
    """Prepares a network for a strategy; gives the optimizer, None where nothing learns."""
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm))]
    model.requires_grad_(False)
    if strategy == "source":
        model.eval()
    else:
        model.train()
        for norm in norms:
            if isinstance(norm, nn.BatchNorm2d):
                norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    if strategy not in ("tent", "all-weights"):
        return None
    everything = strategy == "all-weights"
    parameters = list(model.parameters()) if everything else [p for norm in norms for p in norm.parameters(recurse=False)]
    for parameter in parameters:
        parameter.requires_grad_(True)
    return torch.optim.Adam(parameters, 1e-3)


def in_mode(model, mode):
    """The network as eager PyTorch runs it, with channels last, or compiled."""
    if mode == "channels_last":
        return model.to(memory_format=torch.channels_last)
    return torch.compile(model) if mode == "compile" else model


def layout(images, mode):
    """Images in the layout of a mode."""
    return images.to(memory_format=torch.channels_last) if mode == "channels_last" else images


def step(network, optimizer, images):
    """Answers a batch and learns from it; gives the logits from before the update."""
    if optimizer is None:
        with torch.no_grad():
            return network(images)
    logits = network(images)
    loss = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return logits
