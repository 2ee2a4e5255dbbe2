"""Write every generated file, or check that none has drifted from its source.

`python -m autoglm_api.generate` writes; with `--check` nothing is written and the exit status is 1 when a file differs.
One table names all of them: `outputs()`.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from autoglm_api import chart, crd, reference

ROOT: Final = Path(__file__).resolve().parents[2]


def outputs() -> dict[str, str]:
    """Return the text of every generated file by its path in the repository."""
    definitions = {file: crd.rendered(definition) for file, definition in crd.definitions().items()}
    return {
        **{f"crds/{file}": text for file, text in definitions.items()},
        **{f"charts/autoglm/files/{file}": text for file, text in definitions.items()},
        f"charts/autoglm/{chart.SCHEMA_FILE}": chart.rendered(),
        "docs/reference/resource.md": reference.resource_page(),
        "docs/reference/pool-scale.md": reference.pool_scale_page(),
        "docs/reference/chart.md": reference.chart_page(),
        "docs/reference/names.md": reference.names_page(),
    }


def drifted(root: Path) -> list[str]:
    """Return the paths whose file differs from what would be generated."""
    return [path for path, text in outputs().items() if not _same(root / path, text)]


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def write(root: Path) -> None:
    """Write every generated file."""
    for path, text in outputs().items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def main() -> int:
    """Write, or check with --check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report files that differ")
    if not parser.parse_args().check:
        write(ROOT)
        return 0
    different = drifted(ROOT)
    for path in different:
        sys.stderr.write(f"{path} differs from its source: run `make crds` and commit the result\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
