"""Our container images: what each is made of, and building exactly those whose inputs have changed.

Order of layers: base, dependencies of the lock, our code - a change of code rebuilds the last layer only.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoglm_localcluster import bases, builder, fingerprint, native, sources, toolchain, triton
from autoglm_localcluster.builder import Builder, Docker, Recipe
from autoglm_localcluster.exclusive import exclusive
from autoglm_localcluster.narrate import say, step
from autoglm_localcluster.paths import LOCALCLUSTER, REPOSITORY, cache_dir

_PYTHON_BASE: Final = "autoglm/python-base:dev"
_PRODUCTION_BASE: Final = "python:3.11-slim"
_ARCHIVES_KEPT: Final = 2


@dataclass(frozen=True)
class Image:
    """One image: its name, its Dockerfile, the base it is built on, what decides whether it is built anew."""

    name: str
    dockerfile: Path
    base: str | None
    inputs: Callable[[], Sequence[Path]]
    fill: Callable[[Path], None]
    is_loaded: bool = True

    @property
    def tag(self) -> str:
        """Name in a pod's manifest."""
        return f"autoglm/{self.name}:{'1' if self.name == 'pause' else 'dev'}"


@dataclass(frozen=True)
class Built:
    """A built image: its name and the archive that holds it."""

    tag: str
    archive: Path


def _process(
    name: str,
    *packages: str,
    base: str,
    models: bool = False,
    compiled: bool = False,
    recipe: str = "",
    lock: str = "",
) -> Image:
    """An image of one of our processes: locked dependencies, our packages, and models where it needs them.

    `recipe` (its Dockerfile) and `lock` have the image's own name unless they are given. `compiled` adds the objects of
    what is compiled.
    """
    extra_name = lock or name

    def inputs() -> list[Path]:
        extra = [sources.MODELS] if models else []
        extra += native.inputs() if compiled and native.is_wanted() else []
        return [
            sources.lock_file(extra_name),
            REPOSITORY / "pyproject.toml",
            *sources.package_folders(packages),
            *extra,
        ]

    def fill(context: Path) -> None:
        shutil.copy(sources.lock_file(extra_name), context / "requirements.txt")
        sources.link_tree(sources.wheelhouse(extra_name), context / "wheels")
        sources.unpack_project(packages, context / "app")
        if compiled and native.is_wanted():
            native.add_to(packages, context / "app")
        if models:
            _copy_models(context / "models")

    return Image(name, REPOSITORY / "images" / f"{recipe or name}.Dockerfile", base, inputs, fill)


def _copy_models(target: Path) -> None:
    if sources.MODELS.exists():
        shutil.copytree(sources.MODELS, target)
    else:
        target.mkdir()


def _fill_python_base(context: Path) -> None:
    sources.link_tree(bases.root_filesystem(), context / "rootfs")


def _fill_triton(context: Path) -> None:
    sources.link_tree(triton.triton_root(), context / "triton")


def _fill_pause(context: Path) -> None:
    shutil.copy(toolchain.PAUSE.path, context / "pause")


def _fill_prometheus(context: Path) -> None:
    shutil.copy(toolchain.PROMETHEUS.path, context / "prometheus")


def _local(name: str, base: str | None, fill: Callable[[Path], None], *, is_loaded: bool = True) -> Image:
    dockerfile = LOCALCLUSTER / "images" / f"{name}.Dockerfile"
    return Image(name, dockerfile, base, lambda: (), fill, is_loaded=is_loaded)


PYTHON_BASE: Final = _local("python-base", None, _fill_python_base, is_loaded=False)
TRITON_BASE: Final = _local("triton-base", _PYTHON_BASE, _fill_triton, is_loaded=False)
PAUSE: Final = _local("pause", None, _fill_pause)
PROMETHEUS: Final = _local("prometheus", None, _fill_prometheus)
OPERATOR: Final = _process("operator", "autoglm_api", "autoglm_operator", base=_PYTHON_BASE)
GATEWAY: Final = _process(
    "gateway", "autoglm_api", "autoglm_transport", "autoglm_gateway", base=_PYTHON_BASE, compiled=True
)
_NODE_PACKAGES: Final = ("autoglm_api", "autoglm_transport", "autoglm_node")
NODE: Final = _process("node", *_NODE_PACKAGES, base=TRITON_BASE.tag, models=True)
NODE_PYTORCH: Final = _process(
    "node-pytorch", *_NODE_PACKAGES, base=TRITON_BASE.tag, models=True, recipe="node", lock="pytorch"
)
"""The node with PyTorch in addition: several GB, so it is built only where somebody asks for it."""
ALL: Final = (PYTHON_BASE, TRITON_BASE, PAUSE, PROMETHEUS, OPERATOR, GATEWAY, NODE)


def announce() -> None:
    """Tell the user what the first build of the images downloads."""
    if not bases.folder().exists():
        say("will make a Debian root file system with Python by debootstrap: about 1.5 minutes once")
    if not triton.root_folder().exists():
        say("will get the Triton server from PyPI: a 54 MB download once")
    if native.is_wanted() and not native.has_compiler():
        say(f"will get a C compiler from PyPI to compile the gateway: 101 MB once ({native.ENV_NATIVE}=0 does without)")


def build_all(with_builder: Builder, *more: Image) -> list[Built]:
    """Build what has changed and return every image that a cluster loads, in build order, `more` at the end.

    Raises:
        BuildError: a build failed.
    """
    with exclusive("images"):
        return [built for image in (*ALL, *more) if (built := _build_if_changed(with_builder, image)) is not None]


def write_contexts(target: Path, *more: Image) -> None:
    """Write the build contexts of our three processes, for `docker build` by hand or in a pipeline, and of `more`."""
    for image in (OPERATOR, GATEWAY, NODE, *more):
        _fresh_context(image, target / image.name)


def key(image: Image) -> str:
    """Fingerprint of everything that the image is made of, its bases included."""
    below = [key(other) for other in ALL if other.tag == image.base]
    return fingerprint.of([image.dockerfile, *image.inputs()], *below)


def _build_if_changed(with_builder: Builder, image: Image) -> Built | None:
    if image is PYTHON_BASE and isinstance(with_builder, Docker):
        return None
    suffix = "docker" if isinstance(with_builder, Docker) else "buildah"
    archive = cache_dir() / "images" / f"{image.name}-{key(image)}-{suffix}.tar"
    if not archive.exists():
        with step(f"building image {image.tag}"):
            _build(with_builder, image, archive)
    return Built(image.tag, archive) if image.is_loaded else None


def _build(with_builder: Builder, image: Image, archive: Path) -> None:
    context = cache_dir() / "contexts" / image.name
    _fresh_context(image, context)
    builder.build(with_builder, Recipe(image.tag, image.dockerfile, context, _arguments(with_builder, image)))
    archive.parent.mkdir(parents=True, exist_ok=True)
    if image.is_loaded:
        builder.export(with_builder, image.tag, archive)
    else:
        archive.touch()
    _forget_old(archive, image.name)


def _arguments(with_builder: Builder, image: Image) -> dict[str, str]:
    if image.base is None:
        return {}
    pulled = isinstance(with_builder, Docker) and image.base == _PYTHON_BASE
    return {"BASE_IMAGE": _PRODUCTION_BASE if pulled else _local_name(with_builder, image.base)}


def _local_name(with_builder: Builder, tag: str) -> str:
    # Buildah files an unqualified name under localhost/ and would look for it elsewhere otherwise.
    return tag if isinstance(with_builder, Docker) else f"localhost/{tag}"


def _fresh_context(image: Image, context: Path) -> None:
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    image.fill(context)


def _forget_old(archive: Path, name: str) -> None:
    others = sorted(archive.parent.glob(f"{name}-????????????-*.tar"), key=lambda file: file.stat().st_mtime)
    for old in others[:-_ARCHIVES_KEPT]:
        old.unlink()
