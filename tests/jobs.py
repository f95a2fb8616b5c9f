"""What tests have done in another process."""

import contextlib
import io

import main


def command_line(flags):
    """Run main.py with `flags`; returns (exit code, stdout, stderr)."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main.main(flags)
    return code, out.getvalue(), err.getvalue()


def read_curve(folder):
    """Tag -> [(step, value)] as TensorBoard itself reads a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_with_torchvision(path):
    """The array in an IDX file as torchvision reads it."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    return read_sn3_pascalvincent_tensor(path).numpy()
