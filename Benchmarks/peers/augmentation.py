"""CoTTA's augmentation with torchvision's functions: one set of parameters per call, as the released code has it."""
import torch
import torchvision.transforms.functional as T
from torchvision.transforms import InterpolationMode


def uniform(low, high):
    return (low + (high - low) * torch.rand(())).item()


def random_view(x):
    size = x.shape[-1]
    x = x.clamp(0, 1)
    colours = [
        lambda x: T.adjust_brightness(x, uniform(0.6, 1.4)), lambda x: T.adjust_contrast(x, uniform(0.7, 1.3)),
        lambda x: T.adjust_saturation(x, uniform(0.5, 1.5)), lambda x: T.adjust_hue(x, uniform(-0.06, 0.06)),
        lambda x: T.adjust_gamma(x.clamp(1e-8, 1.0), uniform(0.7, 1.3)),
    ]
    for index in torch.randperm(5).tolist():
        x = colours[index](x)
    x = T.pad(x, [size // 2] * 4, padding_mode="edge")
    shift = [round(uniform(-size / 8, size / 8)), round(uniform(-size / 8, size / 8))]
    x = T.affine(x, uniform(-15, 15), shift, uniform(0.9, 1.1), [0.0, 0.0], interpolation=InterpolationMode.BILINEAR, fill=[0.0])
    sigma = uniform(0.001, 0.5)
    x = T.center_crop(T.gaussian_blur(x, [5, 5], [sigma, sigma]), [size, size])
    if torch.rand(()) < 0.5:
        x = x.flip(-1)
    return (x + 0.005 * torch.randn_like(x)).clamp(0, 1)
