"""The way of a query as machine code: mypyc turns our typed Python into C, which a compiler out of PyPI compiles.

The result is our packages with a shared object beside every module that was compiled; Python takes the object where it
fits interpreter and machine, and the module's source everywhere else. `AUTOGLM_NATIVE=0` leaves the objects out.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from autoglm_localcluster import debian, fingerprint, sources
from autoglm_localcluster.builder import BuildError
from autoglm_localcluster.exclusive import exclusive
from autoglm_localcluster.narrate import step
from autoglm_localcluster.paths import LOCALCLUSTER, cache_dir

ENV_NATIVE: Final = "AUTOGLM_NATIVE"
PACKAGES: Final = ("autoglm_api", "autoglm_transport", "autoglm_gateway")
# What no query passes through, or mypyc cannot compile; all other modules of transport and gateway are compiled.
INTERPRETED: Final = frozenset(
    {
        "autoglm_gateway/__main__.py",
        "autoglm_gateway/cache/redis_store.py",  # a client of the redis library, whose types are too wide
        "autoglm_gateway/certificates.py",
        "autoglm_gateway/cluster.py",
        "autoglm_gateway/files.py",
        "autoglm_gateway/hanzi.py",  # numpy does the work
        "autoglm_gateway/pulse.py",
        "autoglm_gateway/watching.py",
        "autoglm_gateway/weights.py",  # a pydantic model
        "autoglm_transport/admin.py",
        "autoglm_transport/connecting.py",
        "autoglm_transport/descriptors.py",
        "autoglm_transport/response.py",  # an asynchronous generator, which mypyc has not
    }
)
_RECIPE: Final = LOCALCLUSTER / "native"
# Older than the libraries of any distribution that still gets updates, so that the objects load everywhere.
_GLIBC: Final = "2.28"
_KEPT: Final = 6
_PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"


def is_wanted() -> bool:
    """Whether images get compiled code."""
    return os.environ.get(ENV_NATIVE) != "0"


def has_compiler() -> bool:
    """Whether the compiler has been installed."""
    return (_environment() / "finished").exists()


def inputs() -> list[Path]:
    """Everything that the objects are made of."""
    return [_RECIPE, sources.lock_file("native"), Path(__file__), *sources.package_folders(PACKAGES)]


def folder() -> Path:
    """Directory with our packages and their objects, compiled once per content (about a minute).

    Raises:
        BuildError: the compilation failed.
    """
    finished = cache_dir() / "native" / f"{fingerprint.of(inputs())}-{_PYTHON}-{platform.machine()}"
    if finished.exists():
        return finished
    with exclusive("native"):
        if not finished.exists():
            with step("compiling the gateway's way of a query"):
                _build(finished)
    return finished


def add_to(packages: Sequence[str], target: Path) -> None:
    """Put the objects of these packages, and the one that all share, beside their modules in the target."""
    built = folder()  # once: it reads every source
    for path in built.rglob("*.so"):
        place = path.relative_to(built)
        if path.parent == built or place.parts[0] in packages:
            shutil.copy(path, target / place)


def modules(root: Path) -> Iterator[str]:
    """Yield the paths of the modules to compile, relative to a directory that holds our packages."""
    for package in ("autoglm_transport", "autoglm_gateway"):
        for path in sorted((root / package).rglob("*.py")):
            name = str(path.relative_to(root))
            if path.name != "__init__.py" and name not in INTERPRETED:
                yield name


def _build(finished: Path) -> None:
    finished.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=finished.parent) as scratch:
        work, made = Path(scratch, "work"), Path(scratch, "made")
        for source in sources.package_folders(PACKAGES):
            shutil.copytree(source, work / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in _RECIPE.iterdir():
            shutil.copy(file, work)
        _run([_python(), "setup.py", *modules(work)], work, _compiler(Path(scratch, "zig")))
        made.mkdir()
        for part in [*(work / name for name in PACKAGES), *work.glob("*.so")]:
            shutil.move(part, made)
        made.rename(finished)
    forget_old(finished.parent)


def forget_old(parent: Path) -> None:
    """Remove what other contents were compiled to, but for a few: several checkouts may share the cache."""
    for old in sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _environment() -> Path:
    return cache_dir() / "tools" / f"native-{fingerprint.of([sources.lock_file('native')])}-{_PYTHON}"


def _python() -> Path:
    """Interpreter of an environment with mypyc, a C compiler, and the gateway's libraries, whose types mypyc reads."""
    environment = _environment()
    program = environment / "bin" / "python"
    if not has_compiler():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        lock = sources.lock_file("native")
        subprocess.run([program, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
        (environment / "finished").touch()
    return program


def _compiler(cache: Path) -> dict[str, str]:
    """Return the environment in which setuptools finds the compiler and Python's headers; `cache` is the compiler's."""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    debian.ensure([debian.Package(f"lib{_PYTHON}-dev", str(headers))])
    command = f"{_python()} -m ziglang cc -target {platform.machine()}-linux-gnu.{_GLIBC} -fno-sanitize=undefined"
    caches = {f"ZIG_{which}_CACHE_DIR": str(cache) for which in ("GLOBAL", "LOCAL")}
    return {"CC": command, "LDSHARED": f"{command} -shared", "MYPYPATH": ".", **caches}


def _run(command: Sequence[str | Path], where: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(
        ["nice", *command], cwd=where, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        told = (result.stdout + result.stderr)[-3000:]
        raise BuildError(f"the gateway could not be compiled ({ENV_NATIVE}=0 does without):\n{told}")
