"""LeNet in PyTorch."""

import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

from lenet.architecture import BETA1, BETA2, EPSILON_HAT, Architecture
from lenet.backend import Backend, TrainingState, choose_device, storage_dtype

# PyTorch warns that it pads an even kernel with a copy; that is what SAME means.
warnings.filterwarnings("ignore", "Using padding='same' with even kernel")


def same_padding(x: Tensor, window: int, stride: int) -> list[int]:
    """SAME as TensorFlow and Keras define it, for the square x [n, c, size, size]: what F.pad wants."""
    size = x.shape[-1]
    total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    return [total // 2, total - total // 2] * 2


def max_pool(x: Tensor, window: int, stride: int) -> Tensor:
    """SAME: the padding never is the maximum."""
    padding = same_padding(x, window, stride)
    return F.max_pool2d(F.pad(x, padding, value=-math.inf) if any(padding) else x, window, stride)


def average_pool(x: Tensor, window: int, stride: int) -> Tensor:
    """SAME: the padding does not count."""
    padding = same_padding(x, window, stride)
    if not any(padding):
        return F.avg_pool2d(x, window, stride)
    covered = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), padding), window, stride)
    return F.avg_pool2d(F.pad(x, padding), window, stride) / covered


class Network(nn.Module):
    """Images [n, 1, 28, 28] in [0, 1] -> logits [n, 10]."""

    def __init__(self, architecture: Architecture, onednn: bool) -> None:
        super().__init__()
        self.onednn = onednn
        self.activation = getattr(torch, architecture.activation)
        self.settings = architecture.conv
        self.convs = nn.ModuleDict()
        for layer in architecture.conv_layers:
            height, width, inputs, outputs = layer.kernel
            self.convs[layer.name] = nn.Conv2d(inputs, outputs, (height, width), padding=layer.conv.padding)
        self.dense = nn.ModuleDict()
        for layer in architecture.dense_layers:
            inputs, outputs = layer.kernel
            self.dense[layer.name] = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for conv, settings in zip(self.convs.values(), self.settings, strict=True):
            x = conv(x)
            if settings.pool == "max":  # monotonic, the activation gives the same behind it for a quarter of the work
                x = self.activation(max_pool(x, settings.pool_window, settings.pool_stride))
            else:
                x = average_pool(self.activation(x), settings.pool_window, settings.pool_stride)
        x = x.permute(0, 2, 3, 1).flatten(1)  # [n, height * width * channels]; channels_last already lies so
        *hidden, output = self.dense.values()
        for dense in hidden:
            x = self.activation(dense(x.to_mkldnn()).to_dense() if self.onednn else dense(x))
        return output(x)


class LeNet(Backend):
    """The network, Adam's moments, and the training set as one tensor on the device."""

    engine = "pytorch"

    def __init__(self, architecture: Architecture, precision: str, device: str, threads: int) -> None:
        self.device = choose_device(device, torch.cuda.is_available(), "PyTorch")
        self.torch_device = torch.device("cuda" if self.device == "gpu" else "cpu")
        self.threads, self.versions = threads, {"torch": torch.__version__}
        torch.set_num_threads(threads)
        torch.backends.fp32_precision = "ieee"  # on a GPU float32 would be TF32
        torch.backends.cudnn.deterministic = True
        self.autocast = precision == "bfloat16"
        self.dtype = getattr(torch, storage_dtype(precision))
        # In float32 PyTorch leaves dense layers to MKL, with which a step takes a fifth longer on AMD with AVX2 alone.
        onednn = self.device == "cpu" and precision == "float32" and torch.backends.mkldnn.is_available()
        network = Network(architecture, onednn)
        self.network = network.to(self.torch_device, self.dtype, memory_format=torch.channels_last)
        layers = [*self.network.convs.items(), *self.network.dense.items()]
        self.parameters = {f"{name}/kernel": layer.weight for name, layer in layers}
        self.parameters |= {f"{name}/bias": layer.bias for name, layer in layers}
        self.learning_rate = architecture.learning_rate
        self.first_moment, self.second_moment = (
            {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()} for _ in range(2)
        )

    @torch.no_grad()
    def write_state(self, state: TrainingState) -> None:
        self.step = state.step
        self.steps = [torch.tensor(float(state.step), device=self.torch_device) for _ in self.parameters]
        for tensors, arrays in zip(self._tensors(), state.arrays, strict=True):
            for name, tensor in tensors.items():
                tensor.copy_(_from_canonical(arrays[name]))

    def read_state(self) -> TrainingState:
        groups = ({name: _to_canonical(tensor) for name, tensor in tensors.items()} for tensors in self._tensors())
        return TrainingState(self.step, *groups)

    def _tensors(self) -> tuple[dict[str, Tensor], ...]:
        return self.parameters, self.first_moment, self.second_moment

    def load_training_set(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images = torch.from_numpy(images).unsqueeze(1).to(self.torch_device)  # uint8 [n, 1, 28, 28]
        self.labels = torch.from_numpy(labels).long().to(self.torch_device)  # [n]

    def train(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batches = torch.from_numpy(indices).to(self.torch_device)
        figures = torch.stack([self._train_step(self.images[batch], self.labels[batch]) for batch in batches])
        cross_entropies, accuracies = figures.T.cpu().numpy()
        return cross_entropies, accuracies

    def _train_step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; images uint8 [batch, 1, 28, 28], labels int64 [batch] -> (cross-entropy, accuracy)."""
        logits = self._logits(images)
        cross_entropy = F.cross_entropy(logits, labels)
        self.network.zero_grad()
        cross_entropy.backward()
        self._update([parameter.grad for parameter in self.parameters.values()])
        accuracy = (logits.argmax(dim=1) == labels).to(self.dtype).mean()
        return torch.stack([cross_entropy.detach(), accuracy])

    @torch.no_grad()
    def _update(self, gradients: list[Tensor]) -> None:
        """What torch.optim.Adam calls; the class itself would load the compiler, for 1.7 s and 155 MB."""
        self.step += 1
        parameters, first_moment, second_moment = (list(tensors.values()) for tensors in self._tensors())
        adam(
            *(parameters, gradients, first_moment, second_moment, [], self.steps),  # counts the steps up
            fused=True,
            lr=self.learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            # PyTorch adds epsilon after the bias correction, the paper's epsilon-hat stands before it.
            eps=EPSILON_HAT / math.sqrt(1 - BETA2**self.step),
            weight_decay=0,
            amsgrad=False,
            maximize=False,
        )

    def _logits(self, images: Tensor) -> Tensor:
        with torch.autocast(self.torch_device.type, torch.bfloat16, enabled=self.autocast):
            return self.network(images.to(self.dtype) / 255).to(self.dtype)

    @torch.inference_mode()
    def logits(self, images: np.ndarray) -> np.ndarray:
        return self._logits(torch.from_numpy(images).unsqueeze(1).to(self.torch_device)).cpu().numpy()


def _from_canonical(array: np.ndarray) -> Tensor:
    """HWIO -> OIHW, (in, out) -> (out, in)."""
    return torch.from_numpy(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)


def _to_canonical(tensor: Tensor) -> np.ndarray:
    """OIHW -> HWIO, (out, in) -> (in, out), a copy."""
    array = tensor.detach().cpu().numpy()
    return (array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T).copy()
