"""LeNet in PyTorch."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from backends import _engines
from backends._torch import OneDNNLinear, adam_step, pool
from lenet.backend import Backend, storage_dtype
from lenet.network import Network


class Layers(nn.Module):
    """Images [n, channels, height, width] in [0, 1] -> logits [n, classes]."""

    def __init__(self, network: Network, onednn: bool) -> None:
        super().__init__()
        self.network, self.onednn = network, onednn
        self.activation = getattr(torch, network.architecture.activation)
        self.convs, self.dense = nn.ModuleDict(), nn.ModuleDict()
        for conv in network.conv_layers:
            height, width, inputs, outputs = conv.kernel
            self.convs[conv.name] = nn.Conv2d(inputs, outputs, (height, width), padding=conv.conv.padding)
        for dense in network.dense_layers:
            self.dense[dense.name] = nn.Linear(dense.kernel[0], dense.kernel[1])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.network.conv_layers:
            x = self.convs[layer.name](x)
            if layer.conv.pool == "max":  # the activation is monotonic: after the pool it is a quarter of the work
                x = self.activation(pool(x, layer.conv))
            else:
                x = pool(self.activation(x), layer.conv)
            # [n, channels, height, width]; lenet: [n, 32, 14, 14], then [n, 64, 7, 7]
        x = x.permute(0, 2, 3, 1).flatten(1)  # [n, height * width * channels]; lenet: [n, 3136]
        *hidden, output = self.dense.values()
        for dense in hidden:  # lenet: [n, 1024]
            x = self.activation(OneDNNLinear.apply(x, dense.weight, dense.bias) if self.onednn else dense(x))
        logits: Tensor = output(x)  # [n, classes]
        return logits


class LeNet(Backend):
    """The module and Adam's moments."""

    engine = "pytorch"

    def __init__(self, network: Network, precision: str, device: str, threads: int, label_smoothing: float = 0) -> None:
        self.device = _engines.set_up_torch(device, threads)
        self.threads, self.versions = threads, {"torch": str(torch.__version__)}
        self.label_smoothing = label_smoothing
        self.torch_device = torch.device("cuda" if self.device == "gpu" else "cpu")
        self.autocast, self.dtype = precision == "bfloat16", getattr(torch, storage_dtype(precision))
        onednn = self.device == "cpu" and precision == "float32" and torch.backends.mkldnn.is_available()
        module = Layers(network, onednn).to(self.torch_device, self.dtype)
        self.module = module.to(memory_format=torch.channels_last)
        layers = [*self.module.convs.items(), *self.module.dense.items()]
        self.parameters = {f"{name}/kernel": layer.weight for name, layer in layers}
        self.parameters |= {f"{name}/bias": layer.bias for name, layer in layers}
        self.infinity = torch.tensor(math.inf, device=self.torch_device)
        self.first_moment, self.second_moment = (
            {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()} for _ in range(2)
        )

    @torch.no_grad()
    def assign(self, variable: Tensor, array: np.ndarray) -> Tensor:
        # HWIO -> OIHW, (in, out) -> (out, in)
        return variable.copy_(torch.from_numpy(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T))

    def to_numpy(self, variable: Tensor) -> np.ndarray:
        array = variable.detach().cpu().numpy()  # OIHW -> HWIO, (out, in) -> (in, out)
        return (array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T).copy()

    def train(
        self, images: np.ndarray, labels: np.ndarray, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, y = (torch.from_numpy(array).to(self.torch_device) for array in (images, labels))
        batches = zip(x.movedim(-1, -3), y.long(), learning_rates.tolist(), strict=True)  # channels_last memory
        metrics = [self._train_step(*batch) for batch in batches]
        cross_entropies, accuracies = torch.stack(metrics).T.cpu().numpy()
        return cross_entropies, accuracies

    @torch.inference_mode()
    def logits(self, images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images).to(self.torch_device).movedim(-1, -3)
        return self._forward(x).cpu().numpy()

    def _train_step(self, images: Tensor, labels: Tensor, learning_rate: float) -> Tensor:
        """Make a step; images uint8 [batch, channels, height, width], labels int64 [batch] -> (loss, accuracy)."""
        logits = self._forward(images)
        cross_entropy = nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self.module.zero_grad()
        cross_entropy.backward()
        self.step += 1
        adam_step(self.step, learning_rate, self.infinity, *(list(group.values()) for group in self._variables()))
        accuracy = (logits.argmax(dim=1) == labels).to(self.dtype).mean()
        return torch.stack([cross_entropy.detach(), accuracy])

    def _forward(self, images: Tensor) -> Tensor:
        """Images uint8 [n, channels, height, width] -> logits [n, classes]."""
        with torch.autocast(self.torch_device.type, torch.bfloat16, enabled=self.autocast):
            logits: Tensor = self.module(images.to(self.dtype) / 255).to(self.dtype)
        return logits
