"""Feed mutants of good requests and bodies to the gateway's own parsers.

Ends with 0 and the count when nothing was found; an input that breaks a promise is printed with its seed.
"""

import argparse
import random
import sys
import time

from mutants import BODIES, REQUESTS, check_body, check_request, mutant


def main() -> None:
    """Run as many inputs as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    begun = time.perf_counter()
    for number in range(arguments.inputs):
        is_request = number % 2 == 0
        data = mutant(chance.choice(REQUESTS if is_request else BODIES), chance)
        try:
            (check_request if is_request else check_body)(data, chance)
        except Exception as error:  # noqa: BLE001 - whatever it is, the input is the finding
            sys.exit(f"seed {arguments.seed}, input {number}: {data!r}: {error!r}")
    seconds = time.perf_counter() - begun
    print(f"{arguments.inputs:,} inputs, seed {arguments.seed}, nothing found, {seconds:.0f} s")


if __name__ == "__main__":
    main()
