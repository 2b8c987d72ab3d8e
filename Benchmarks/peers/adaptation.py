"""What PyTorch does to a network that adapts: TENT, EATA, SAR, CoTTA, ViDA, a step over all weights, statistics of the batch, or nothing, after the
released code of the methods."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

STRATEGIES = ["tent", "eata", "sar", "cotta", "cotta-confident", "cotta-skipping", "vida", "all-weights", "batch-norm", "alpha-batch-norm", "source"]


def configure(model, strategy):
    """Prepares a network for a strategy; gives the optimizer, None where nothing learns."""
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm))]
    model.requires_grad_(False)
    if strategy in ("source", "alpha-batch-norm"):
        model.eval()
    else:
        model.train()
        for norm in norms:
            if isinstance(norm, nn.BatchNorm2d):
                norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    if strategy == "alpha-batch-norm":
        for name, norm in [(name, m) for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, AlphaNorm(norm))
    if strategy in ("batch-norm", "alpha-batch-norm", "source"):
        return None
    everything = strategy not in ("tent", "eata", "sar")
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
    entropy(logits).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return logits


class AlphaNorm(nn.Module):
    """Batch norm whose statistics are the source's, moved a tenth of the way to those of the batch."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        variance, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
        mean, variance = 0.9 * self.norm.running_mean + 0.1 * mean, 0.9 * self.norm.running_var + 0.1 * variance
        return F.batch_norm(x, mean, variance, self.norm.weight, self.norm.bias, False, 0, self.norm.eps)


def entropy(logits):
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


class Eata:
    """EATA: the entropy of certain and diverse images, weighted; important weights are held. The thresholds are so wide that every image is learnt
    from, as is all of the work."""

    def __init__(self, model, mode, threshold=100.0, margin=1.0):
        self.optimizer, self.network, self.threshold, self.margin = configure(model, "eata"), in_mode(model, mode), threshold, margin
        self.held = [(p, p.detach().clone(), torch.ones_like(p)) for group in self.optimizer.param_groups for p in group["params"]]
        self.mean = None

    def step(self, images):
        logits = self.network(images)
        values, answers = entropy(logits), logits.softmax(1).detach()
        chosen = torch.where(values < self.threshold)[0]
        if self.mean is not None:
            similarity = F.cosine_similarity(self.mean[None], answers[chosen], dim=1)
            chosen = chosen[similarity.abs() < self.margin]
        self.mean = answers[chosen].mean(0) if self.mean is None else 0.9 * self.mean + 0.1 * answers[chosen].mean(0)
        loss = (values[chosen] * torch.exp(0.4 * 6.9 - values[chosen].detach())).mean()
        loss = loss + sum((importance * (p - start) ** 2).sum() for p, start, importance in self.held)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return logits


class Sar:
    """SAR: the gradient at the worst neighbour of the weights; every image is learnt from."""

    def __init__(self, model, mode, threshold=100.0):
        configure(model, "sar")
        last = {id(p) for name in ("layer4", "norm") if hasattr(model, name) for p in getattr(model, name).parameters()}
        self.parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in last]
        for p in model.parameters():
            p.requires_grad_(p.requires_grad and id(p) not in last)
        self.optimizer, self.network = torch.optim.SGD(self.parameters, 2.5e-4, momentum=0.9), in_mode(model, mode)
        self.threshold = threshold

    def step(self, images):
        self.optimizer.zero_grad()
        logits = self.network(images)
        values = entropy(logits)
        chosen = torch.where(values < self.threshold)[0]
        values[chosen].mean().backward()
        with torch.no_grad():
            scale = 0.05 / (torch.stack([p.grad.norm() for p in self.parameters]).norm() + 1e-12)
            old = [p.detach().clone() for p in self.parameters]
            for p in self.parameters:
                p.add_(p.grad * scale)
        self.optimizer.zero_grad()
        second = entropy(self.network(images))[chosen]
        second[second < self.threshold].mean().backward()
        with torch.no_grad():
            for p, before in zip(self.parameters, old):
                p.copy_(before)
        self.optimizer.step()
        return logits


class Teacher:
    """What CoTTA and ViDA share: a student that learns from a teacher, which follows it slowly, and weights that go back to the source at random."""

    def __init__(self, model, strategy, mode, restored):
        import augmentation  # needs torchvision, which the other strategies do not

        self.random_view, self.restored = augmentation.random_view, restored
        self.optimizer = configure(model, strategy)
        self.model, self.teacher = model, copy.deepcopy(model).requires_grad_(False)
        self.source = [p.detach().clone() for p in model.parameters()]
        self.student, self.answers = in_mode(model, mode), in_mode(self.teacher, mode)

    def learn(self, logits, target):
        """One step of the student towards the target, then of the teacher towards the student."""
        loss = -(target.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for teacher, student, first in zip(self.teacher.parameters(), self.model.parameters(), self.source):
                teacher.mul_(0.999).add_(student, alpha=0.001)
                mask = (torch.rand(student.shape) < self.restored).float()
                student.copy_(first * mask + student * (1 - mask))


class Branches(nn.Module):
    """A linear layer with ViDA's two low-rank branches beside it."""

    def __init__(self, base, high_rank):
        super().__init__()
        self.base, self.low, self.high = base, 1.0, 1.0
        self.low_down, self.low_up = nn.Linear(base.in_features, 1, bias=False), nn.Linear(1, base.out_features, bias=False)
        self.high_down = nn.Linear(base.in_features, high_rank, bias=False)
        self.high_up = nn.Linear(high_rank, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.low * self.low_up(self.low_down(x)) + self.high * self.high_up(self.high_down(x))


class Vida(Teacher):
    """ViDA on transformers: the uncertainty of the teacher over ten augmented views, one step over all weights and branches, the teacher follows."""

    def __init__(self, model, mode):
        for block in model.blocks:
            block.qkv, block.proj = Branches(block.qkv, 128), Branches(block.proj, 128)
        super().__init__(model, "vida", mode, restored=0.1)

    def step(self, images):
        with torch.no_grad():
            views = torch.stack([self.answers(self.random_view(images)) for _ in range(10)])
            uncertainty = (views.var(0).mean() * 0.1).item()
            low = 1 - uncertainty if uncertainty >= 0.05 else 1 + uncertainty
            for network in (self.model, self.teacher):
                for module in network.modules():
                    if isinstance(module, Branches):
                        module.low = low
            target = self.answers(images)
        self.learn(self.student(images), target)
        return target


class Cotta(Teacher):
    """CoTTA on CIFAR: 32 augmented views of the teacher, dropped where the anchor is confident (it never is at a threshold of 0.92 with random weights),
    weights restored with probability 0.01.

    `cotta-confident` drops them after they are computed, as the released code for CIFAR does; `cotta-skipping` does not compute them.
    """

    def __init__(self, model, strategy, mode):
        super().__init__(model, strategy, mode, restored=0.01)
        self.anchor = in_mode(copy.deepcopy(self.teacher), mode)
        self.threshold, self.skips = 0.92 if strategy == "cotta" else 0.0, strategy == "cotta-skipping"

    def step(self, images):
        logits = self.student(images)
        with torch.no_grad():
            confidence = self.anchor(images).softmax(1).max(1).values.mean()
            target = self.answers(images)
            views = [] if self.skips else [self.answers(self.random_view(images)) for _ in range(32)]
            if confidence < self.threshold:
                target = torch.stack(views).mean(0)
        self.learn(logits, target)
        return target
