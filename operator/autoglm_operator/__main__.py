"""`python3 -m autoglm_operator`: run the operator with the settings of the environment."""

import asyncio
import logging
import os
import sys

from autoglm_operator.shell.environment import SettingError, read_environment
from autoglm_operator.shell.run import WatchEndedError, run

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_EXIT_BAD_SETTING = 2


def main() -> int:
    """Run until told to stop; return the exit code."""
    try:
        environment = read_environment(os.environ)
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_BAD_SETTING
    logging.basicConfig(level=environment.log_level, format=_LOG_FORMAT)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        # Not on uvloop: with aiohttp it loses track of file descriptors when the API server refuses connections
        # ("File descriptor is used by transport"), which ends every watch; this process is not bound by its loop.
        asyncio.run(run(environment))
    except WatchEndedError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - the cause was logged by kopf
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
