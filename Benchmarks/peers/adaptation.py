"""What PyTorch does to a network that adapts: TENT, CoTTA, a step over all weights, statistics of the batch, or nothing, after the released code of the
methods."""
import copy

import torch
import torch.nn as nn

STRATEGIES = ["tent", "cotta", "cotta-confident", "cotta-skipping", "all-weights", "batch-norm", "source"]


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
    if strategy in ("batch-norm", "source"):
        return None
    everything = strategy != "tent"
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


class Cotta:
    """CoTTA on CIFAR: 32 augmented views of the teacher, dropped where the anchor is confident (it never is at a threshold of 0.92 with random weights),
    weights restored with probability 0.01.

    `cotta-confident` drops them after they are computed, as the released code for CIFAR does; `cotta-skipping` does not compute them.
    """

    def __init__(self, model, strategy, mode):
        import augmentation  # needs torchvision, which the other strategies do not

        self.random_view = augmentation.random_view
        self.optimizer = configure(model, strategy)
        self.model, self.teacher = model, copy.deepcopy(model).requires_grad_(False)
        anchor = copy.deepcopy(self.teacher)
        self.source = [p.detach().clone() for p in model.parameters()]
        self.student, self.answers, self.anchor = in_mode(model, mode), in_mode(self.teacher, mode), in_mode(anchor, mode)
        self.threshold, self.skips = 0.92 if strategy == "cotta" else 0.0, strategy == "cotta-skipping"

    def step(self, images):
        logits = self.student(images)
        with torch.no_grad():
            confidence = self.anchor(images).softmax(1).max(1).values.mean()
            target = self.answers(images)
            views = [] if self.skips else [self.answers(self.random_view(images)) for _ in range(32)]
            if confidence < self.threshold:
                target = torch.stack(views).mean(0)
        loss = -(target.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for teacher, student, first in zip(self.teacher.parameters(), self.model.parameters(), self.source):
                teacher.mul_(0.999).add_(student, alpha=0.001)
                mask = (torch.rand(student.shape) < 0.01).float()
                student.copy_(first * mask + student * (1 - mask))
        return target
