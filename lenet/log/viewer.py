"""TensorBoard on a log folder."""

import logging
import os
import sys
import time
from pathlib import Path

from lenet.errors import UserError
from lenet.system.streams import print_line, silenced_stderr


def view(log_dir: str | Path) -> int:
    """Serve a log folder's TensorBoard to this machine alone, until a signal ends it. Raises UserError."""
    if not os.path.isdir(log_dir):  # noqa: PTH112 - Path.is_dir raises PermissionError
        raise UserError(f"there is no log folder {log_dir}; train a run first, or choose another with --log_dir")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silenced_stderr():  # TensorFlow and TensorBoard say much that nobody can act on
        from tensorboard import default, program
        from tensorboard.util import tb_logging

        tb_logging.get_logger().setLevel(logging.ERROR)
        board = program.TensorBoard(default.get_plugins())
        board.configure((sys.argv[0], "--logdir", str(log_dir), "--host", "localhost"))
        try:
            address = board.launch()
        except program.TensorBoardServerException as error:
            raise UserError(f"TensorBoard cannot start: {error}", 1) from None
    print_line(f"TensorBoard shows {log_dir} at {address} (Ctrl-C ends it)", sys.stdout)
    while True:
        time.sleep(3600)
