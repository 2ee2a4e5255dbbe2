"""The two programs that can build our Dockerfiles: buildah (no engine needed) and docker (where there is an engine)."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoglm_localcluster.paths import cache_dir


class BuildError(RuntimeError):
    """A build failed; the message has the end of what the builder printed."""


@dataclass(frozen=True)
class Recipe:
    """One build: which Dockerfile, in which context, called what, with which arguments."""

    tag: str
    dockerfile: Path
    context: Path
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Buildah:
    """Builds as root without an engine; its layers live in our cache."""

    storage: Path

    def build_command(self, recipe: Recipe) -> list[str]:
        """Command that builds the recipe, reusing layers that have not changed."""
        build = ["build", "--layers", "--isolation", "chroot", "--pull-never", "--quiet"]
        return [*self._program(), *build, *_recipe_arguments(recipe)]

    def export_command(self, tag: str, archive: Path) -> list[str]:
        """Command that writes an image as a Docker archive."""
        return [*self._program(), "push", "--quiet", tag, f"docker-archive:{archive}:{tag}"]

    def _program(self) -> list[str]:
        return ["buildah", "--root", str(self.storage / "storage"), "--runroot", str(self.storage / "run")]


@dataclass(frozen=True)
class Docker:
    """Builds with the machine's Docker engine."""

    def build_command(self, recipe: Recipe) -> list[str]:
        """Command that builds the recipe."""
        return ["docker", "build", "--quiet", *_recipe_arguments(recipe)]

    def export_command(self, tag: str, archive: Path) -> list[str]:
        """Command that writes an image as a Docker archive."""
        return ["docker", "save", "--output", str(archive), tag]


Builder = Buildah | Docker


def buildah() -> Buildah:
    """Buildah with its storage in our cache."""
    return Buildah(cache_dir() / "buildah")


def build(builder: Builder, recipe: Recipe) -> None:
    """Build an image.

    Raises:
        BuildError: the build failed.
    """
    _run(builder.build_command(recipe))


def export(builder: Builder, tag: str, archive: Path) -> None:
    """Write an image to a file that containerd and docker can load; the file appears only when it is complete.

    Raises:
        BuildError: the export failed.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f"{archive.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    _run(builder.export_command(tag, unfinished))
    unfinished.rename(archive)


def _recipe_arguments(recipe: Recipe) -> list[str]:
    arguments = [f"--build-arg={name}={value}" for name, value in sorted(recipe.arguments.items())]
    return [*arguments, "--tag", recipe.tag, "--file", str(recipe.dockerfile), str(recipe.context)]


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(["nice", *command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"{' '.join(command[:2])} failed:\n{(result.stdout + result.stderr)[-3000:]}")
