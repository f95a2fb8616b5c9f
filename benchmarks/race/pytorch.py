"""PyTorch's MNIST example, written after pytorch/examples: python -m benchmarks.race.pytorch SEED MNIST_FOLDER."""

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.race.contest import compete

PASSES = 14


class Net(nn.Module):
    """Images [n, 1, 28, 28], normalized -> log-probabilities [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-probabilities."""
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(self.dropout1(x), 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def main(seed: int, root: str) -> None:
    """Train with Adadelta, whose rate falls by 0.7 after each pass; as there, a processor trains without shuffling."""
    torch.manual_seed(seed)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train_loader = DataLoader(datasets.MNIST(root, train=True, transform=transform), batch_size=64)
    test_loader = DataLoader(datasets.MNIST(root, train=False, transform=transform), batch_size=1000)
    model = Net()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)

    def train_pass() -> None:
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = F.nll_loss(model(images), labels)
            loss.backward()
            optimizer.step()
        scheduler.step()

    @torch.no_grad()
    def test() -> float:
        model.eval()
        right = sum(int((model(images).argmax(dim=1) == labels).sum()) for images, labels in test_loader)
        return right / 10_000

    compete(train_pass, test, PASSES)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
