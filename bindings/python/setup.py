"""Gives a wheel that contains the library the platform of the library. pyproject.toml has everything else."""

from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

LIBRARIES = ["libsam2.*", "sam2.dll"]


class WithLibrary(Distribution):
    def has_ext_modules(self):
        package = Path(__file__).parent / "sam2_engine"
        return any(next(package.glob(name), None) for name in LIBRARIES)


class Wheel(bdist_wheel):
    def get_tag(self):
        python, abi, platform = super().get_tag()
        # The library is called by ctypes, so any Python 3 can use it.
        return (python, abi, platform) if self.root_is_pure else ("py3", "none", platform)


setup(distclass=WithLibrary, cmdclass={"bdist_wheel": Wheel})
