"""LeNet on MNIST in several frameworks: the same parameters, batches and Adam in all of them."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before all that an older Python cannot read
    sys.stderr.write(f"main.py: Python 3.11 or newer is needed, not {sys.version.split()[0]}\n")
    sys.exit(2)

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lenet
from backends import FRAMEWORKS, MODULES
from lenet.errors import exit_code
from lenet.flags import Parser, choice, file_name, key_and_value, path, size, value_of, whole_number
from lenet.log import DETAILS
from lenet.log.viewer import view
from lenet.printing import print_place, print_run, print_text
from lenet.study import KEEP
from lenet.system.machine import DEVICES, PRECISIONS
from lenet.system.streams import prepare_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the flags say and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: dispatch(flag_parser().parse(words)), "main.py")


def dispatch(flags: argparse.Namespace) -> int:
    """Call the action that the flags name with all other flags that are given."""
    options = {key: value for key, value in vars(flags).items() if value is not None}
    actions = (report, predict, export, describe, tensorboard, train, test)
    return next(action for action in actions if action.__name__ in options)(**options)


def train(train: bool, test: bool = True, **options: Any) -> int:  # noqa: ARG001 - a run is always tested
    """Train a run and print its result."""
    run = lenet.train(**options)
    return print_run(run.result, run.folder)


def test(test: bool, **options: Any) -> int:  # noqa: ARG001
    """Test a run and print the result."""
    result = lenet.test(**options)
    return print_run(result, result["checkpoint"])


def describe(describe: bool, framework: str = "", device: str = "", threads: int = 0, **options: Any) -> int:  # noqa: ARG001
    """Print what would be trained; that is the same in every framework and on every device."""
    description = lenet.describe(**options)
    print_text(description.text)
    return print_place(description.sheet, "Examples:") if description.sheet else 0


def predict(predict: Sequence[Path], json: bool = False, save_prepared: Path | None = None, **options: Any) -> int:
    """Print what the model says of each picture; the exit code is 1 if one of them cannot be read."""
    from lenet.use.prediction import print_all

    machine = {key: options.pop(key) for key in ("device", "threads") if key in options}
    run = lenet.load(options.pop("load", True), **options)
    return print_all(run.predict_each(predict, save_prepared, framework=options.get("framework"), **machine), json)


def export(export: list[str], **options: Any) -> int:
    """Export the model, and print the lines that load it."""
    return print_text(lenet.load(options.pop("load", True), **options).export(export[0]))


def report(report: bool, **options: Any) -> int:  # noqa: ARG001
    """Train what a report lacks, and print the path of its page; or print what would be trained."""
    done = lenet.report(**options, command=sys.argv)
    if done.page or "dry_run" in options:
        print_place(done.page) if done.page else print_text(done.plan)
    return 1 if done.errors else 0


def tensorboard(tensorboard: bool, log_dir: Path = Path("logs")) -> int:  # noqa: ARG001
    """Show the runs in TensorBoard, until Ctrl-C."""
    return view(log_dir)


def flag_parser() -> Parser:
    """Return the parser of all flags; docs/flags.md is made from it."""
    parser = Parser("main.py", description=__doc__, allow_abbrev=False)
    flag = parser.add_argument_group("what to do").add_argument
    switch: dict[str, Any] = {"action": "store_true", "default": None}
    flag("-t", "--train", **switch, help="train for --train_num steps, test, and save")
    flag("-e", "--test", **switch, help="test the run that --load or the other flags name")
    predict_help = "classify the pictures in files or folders"
    flag("--predict", nargs="+", action="extend", type=path, metavar="PATH", help=predict_help)
    endings = ".onnx, .pt2, .pt, .safetensors, .keras, .html, or a folder, model/, for a SavedModel"
    flag("--export", action="append", type=file_name, metavar="FILE", help=f"export the model: {endings}")
    flag("--describe", **switch, help="print the data, the layers of the network and the settings")
    report_help = "train all configs without a schedule in every installed framework, and compare them"
    flag("--report", **switch, help=report_help)
    flag("--tensorboard", **switch, help="show the runs in TensorBoard, on this machine, until Ctrl-C")
    flag("--version", action="version", version=f"lenet {lenet.__version__}", help="print the version and exit")

    flag = parser.add_argument_group("the run").add_argument
    count, of_report = whole_number(), "of a report: all; it takes several"
    load_help = "checkpoint to go on from or to use, a file or a run's folder (without PATH: as the flags name it)"
    steps_help = "number of steps, with --load of more steps (default: the config's decay_steps, if it has them)"
    flag("--train_num", dest="steps", type=whole_number(0), metavar="N", help=steps_help)
    flag("-l", "--load", nargs="?", const=True, type=path, metavar="PATH", help=load_help)
    framework_help = f"framework (default: the first installed of {', '.join(MODULES)}; {of_report})"
    synonyms = {"tf": "tensorflow", "torch": "pytorch"}
    flag("--framework", **choice(FRAMEWORKS, synonyms), action="append", help=framework_help)
    config_help = f"config: a name in configs/ or a TOML file (default: the checkpoint's, or lenet; {of_report})"
    flag("--config", type=path, action="append", metavar="CONFIG", help=config_help)
    change: dict[str, Any] = {"dest": "changes", "action": "append"}
    flag("--set", **change, type=key_and_value, metavar="KEY=VALUE", help="change a key; a report takes several values")
    rate_help = "Adam's learning rate (default: the checkpoint's, or the config's)"
    flag("--learning_rate", "--lr", **change, type=value_of("learning_rate"), metavar="X", help=rate_help)
    batch_help = "images in a mini-batch (default: the checkpoint's, or the config's)"
    flag("--batch_size", **change, type=value_of("batch_size"), metavar="N", help=batch_help)
    flag("--precision", **choice(PRECISIONS), help="arithmetic of the layers (default: the checkpoint's, or float32)")
    seed_help = "seed of the initial parameters and of the batches (default: the checkpoint's, or 0)"
    flag("--seed", type=whole_number(0), metavar="N", help=seed_help)
    data_help = "what to train on: a folder of IDX files or of pictures, a .csv or .npz file (default: mnist)"
    flag("--data", "--data_dir", type=path, metavar="PATH", help=data_help)
    flag("--image_size", type=size, metavar="N", help="size of pictures, N or HEIGHTxWIDTH (default: most frequent)")
    flag("--validation", type=count, metavar="N", help="training images held out (default: 5,000, or a tenth)")
    flag("--log_dir", type=path, metavar="FOLDER", help="folder of the runs (default: logs)")
    flag("--save_every", type=count, metavar="N", help="steps between saves; the last is saved, too (default: 500)")
    flag("--log", **choice([*DETAILS]), help="what to log for TensorBoard (default: all)")

    flag = parser.add_argument_group("the pictures").add_argument
    flag("--json", **switch, help="with --predict: print one JSON object per line")
    flag("--save_prepared", type=path, metavar="FOLDER", help="with --predict: folder for the prepared images")

    flag = parser.add_argument_group("a report").add_argument
    flag("--seeds", type=count, metavar="N", help="number of seeds of each config, from 0 on (default: 3)")
    flag("--jobs", type=count, metavar="N", help="number of runs at once (default: one per two cores)")
    flag("--cluster", metavar="ADDRESS", help="Dask scheduler whose workers train, such as tcp://host:8786")
    flag("--keep", **choice(KEEP), help="files to keep of a run; results: no checkpoints (default: all)")
    flag("--dry_run", **switch, help="print what would be trained, how long it takes and how large it is")

    flag = parser.add_argument_group("the machine").add_argument
    flag("--device", **choice(DEVICES, {"cuda": "gpu"}), help="where to compute (default: auto, a GPU if there is one)")
    threads_help = "number of threads (default: OMP_NUM_THREADS, or the cores)"
    flag("--threads", type=count, metavar="N", help=threads_help)
    return parser


if __name__ == "__main__":
    prepare_streams()
    sys.exit(main())
