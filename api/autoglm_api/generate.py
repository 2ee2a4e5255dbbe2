"""Write every generated file: the CRD, the chart's copy of it, the chart's value schema and the reference pages.

`python -m autoglm_api.generate` in the repository's root writes them; with `--check` it only names those that differ
and exits with 1.
"""

import sys
from pathlib import Path

from autoglm_api import chart, crd, reference


def generated_files() -> dict[str, str]:
    """Return the text of every generated file by its path below the repository's root."""
    return {
        f"crds/{crd.FILE_NAME}": crd.rendered(),
        f"charts/autoglm/files/{crd.FILE_NAME}": crd.rendered(),
        f"charts/autoglm/{chart.SCHEMA_FILE}": chart.rendered(),
        "docs/reference/resource.md": reference.resource_page(),
        "docs/reference/chart.md": reference.chart_page(),
        "docs/reference/names.md": reference.names_page(),
    }


def write(root: Path) -> None:
    """Write the files below the root."""
    for name, text in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def outdated(root: Path) -> list[str]:
    """Return the paths of the files that are absent or differ from what `write` would write."""
    return [
        name
        for name, text in generated_files().items()
        if not (root / name).exists() or (root / name).read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write or check the files below the working directory; return the exit code."""
    if "--check" not in arguments:
        write(Path())
        return 0
    differing = outdated(Path())
    for name in differing:
        sys.stderr.write(f"{name} differs from its source: run `make crds` and commit the result\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
