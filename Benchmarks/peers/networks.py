"""PyTorch networks of the comparison, as their papers define them."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class CifarBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.stride, self.grow = stride, (width - channels) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.grow:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow, self.grow))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    def __init__(self, depth, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for stage, width in enumerate((16, 32, 64)):
            for block in range((depth - 2) // 6):
                blocks.append(CifarBlock(channels, width, 2 if stage and not block else 1))
                channels = width
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(64, classes)

    def forward(self, x):
        return self.fc(self.blocks(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = None if channels == width else nn.Conv2d(channels, width, 1, stride, 0, bias=False)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (x if self.shortcut is None else self.shortcut(a))


class WideResNet(nn.Module):
    def __init__(self, depth, widen, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks, channels = [], 16
        for stage in range(3):
            for block in range((depth - 4) // 6):
                blocks.append(WideBlock(channels, (16 << stage) * widen, 2 if stage and not block else 1))
                channels = (16 << stage) * widen
        self.blocks, self.bn1, self.fc = nn.Sequential(*blocks), nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(F.relu(self.bn1(self.blocks(self.conv1(x)))).mean((2, 3)))


class ViTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2, self.heads = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), heads

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, width, heads, classes=1000):
        super().__init__()
        self.patch, self.blocks = nn.Conv2d(3, width, 16, 16), nn.Sequential(*[ViTBlock(width, heads) for _ in range(12)])
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 197, width))
        self.norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


def build(name):
    """The network of an architecture's name, and its input size."""
    if name.startswith("cifar-resnet"):
        return CifarResNet(int(name[len("cifar-resnet"):])), 32
    if name == "wide-resnet-28-10":
        return WideResNet(28, 10), 32
    if name in ("resnet18", "resnet50", "mobilenet-v2", "efficientnet-b0"):
        import torchvision

        return getattr(torchvision.models, name.replace("-", "_"))(), 224
    if name == "resnet50-gn":
        import torchvision

        return torchvision.models.resnet50(norm_layer=lambda channels: nn.GroupNorm(32, channels)), 224
    if name == "vit-small-patch16-224":
        return ViT(384, 6), 224
    if name == "vit-base-patch16-224":
        return ViT(768, 12), 224
    raise SystemExit(f"no PyTorch network called {name}")
