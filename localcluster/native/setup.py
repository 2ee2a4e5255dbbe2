"""Run by `autoglm_localcluster.native` in a copy of our packages: compiles the modules named as arguments in place."""

import sys

from mypyc.build import mypycify
from setuptools import setup

MODULES = sys.argv[1:]
sys.argv[1:] = ["-q", "build_ext", "--inplace"]

setup(
    name="autoglm-native",
    packages=[],
    ext_modules=mypycify(["--config-file", "mypy.ini", *MODULES], opt_level="3", debug_level="0"),
)
