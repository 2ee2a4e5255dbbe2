"""Write every generated file: the CRD, the chart's copy of it, the chart's value schema and the reference pages.

`python -m autoglm_api.generate [ROOT]`; a test compares the committed files with what this module returns.
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


def main(root: Path) -> None:
    """Write the files below the root."""
    for name, text in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
