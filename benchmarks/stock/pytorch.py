"""LeNet as PyTorch's MNIST example trains: torchvision's MNIST, ToTensor, a DataLoader, relu before the pool, Adam."""

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.stock.stopwatch import BATCH_SIZE, Stopwatch


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
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(x), dim=1)


def train(steps: int, root: str) -> None:
    """Train on torchvision's MNIST, stored in `root`."""
    stopwatch = Stopwatch()
    dataset = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train()
    for _, (images, labels) in zip(range(steps), loader, strict=False):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        stopwatch.lap()
    stopwatch.report()


if __name__ == "__main__":
    train(int(sys.argv[1]), sys.argv[2])
