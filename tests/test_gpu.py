"""A GPU computes what the processor does. All but the last test are skipped where there is none."""

import jobs
import numpy as np
import pytest
from test_parity import INDICES, LENET, initial, same

STEPS = INDICES[:12]


# With TF32, which PyTorch takes for convolutions unless it is told, float32 differs by 7e-4.
@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-4), ("float64", 1e-12)])
def test_a_gpu_gives_the_numbers_of_the_processor_and_always_the_same(framework, process, precision, bound):
    name = framework.name
    if not framework.do(jobs.finds_gpu, name):
        pytest.skip("there is no GPU")
    arguments = name, LENET, precision, initial(precision), STEPS
    expected, _, _ = framework.do(jobs.train, *arguments)
    cross_entropies, _, state = process.do(jobs.train, *arguments, device="gpu")
    assert same(cross_entropies, expected, bound)
    again, _, same_state = process.do(jobs.train, *arguments, device="gpu")
    assert np.array_equal(cross_entropies, again)
    for one, other in zip(state.arrays, same_state.arrays, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_no_float32_of_pytorch_is_tf32(workers):
    assert workers["pytorch"].do(jobs.float32_of_torch, "pytorch") == {"ieee"}
