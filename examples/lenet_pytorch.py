"""LeNet as PyTorch's MNIST example is written: python -m examples.lenet_pytorch. It downloads MNIST.

The official one has another network, dropout, a normalization of the pixels, and Adadelta.
"""

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Net(nn.Module):
    """Images [n, 1, 28, 28] in [0, 1] -> log-probabilities [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1 = nn.Linear(3136, 1024)
        self.fc2 = nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-probabilities."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # [n, 32, 14, 14]
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # [n, 64, 7, 7]
        x = F.relu(self.fc1(torch.flatten(x, 1)))  # [n, 1024]
        return F.log_softmax(self.fc2(x), dim=1)


def train(steps: int, after_step: Callable[[], None] = lambda: None, root: str = "logs/torchvision") -> Net:
    """Train on torchvision's MNIST in the folder `root`, for one epoch of 600 steps at most."""
    dataset = datasets.MNIST(root, train=True, download=True, transform=transforms.ToTensor())
    loader = DataLoader(dataset, batch_size=100, shuffle=True)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train()
    for images, labels in itertools.islice(loader, steps):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        after_step()
    return model


@torch.no_grad()
def test(model: Net, root: str = "logs/torchvision") -> float:
    """Return the accuracy on the test images."""
    model.eval()
    dataset = datasets.MNIST(root, train=False, download=True, transform=transforms.ToTensor())
    loader = DataLoader(dataset, batch_size=1000)
    right: int = sum((model(images).argmax(dim=1) == labels).sum().item() for images, labels in loader)
    return right / len(dataset)


if __name__ == "__main__":
    print(f"test accuracy {100 * test(train(600)):.2f} %")
