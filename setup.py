"""Adds the media engine to what `pyproject.toml` says: built where a C compiler and Python's headers are found, left
out with one line of explanation where they are not, in which case the Python engine serves."""

# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext


class OptionalBuild(build_ext):
    """A missing compiler must not stop the installation."""

    def build_extensions(self) -> None:
        try:
            super().build_extensions()
        except Exception as error:
            print(
                f"cordboard: the C media engine was not built ({error}); the Python engine will serve.", file=sys.stderr
            )
            self.extensions: list[object] = []

    def copy_extensions_to_source(self) -> None:
        if self.extensions:
            super().copy_extensions_to_source()


setup(
    cffi_modules=["src/cordboard/media/build_engine.py:ffibuilder"],
    cmdclass={"build_ext": OptionalBuild},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
