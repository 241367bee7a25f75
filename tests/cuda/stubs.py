"""Stands for packages that diffusers imports for files and downloads, which a comparison of speed
needs none of: whatever is taken from one is a class that does nothing."""
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

NAMES = ("huggingface_hub", "safetensors", "regex", "PIL", "requests", "httpx", "importlib_metadata",
         "tqdm", "yaml")


class Module(types.ModuleType):
    __path__ = []
    __version__ = "0.0.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name.isupper():  # a path or a setting
            return "none"
        made = type(name, (Exception,), {"__init__": lambda self, *a, **k: None,
                                         "__call__": lambda self, f=None, *a, **k: f})
        setattr(self, name, made)
        return made


# those that are there stay as they are, with all that they lack
MISSING = [n for n in NAMES if not importlib.machinery.PathFinder.find_spec(n)]


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Module(spec.name)

    def exec_module(self, module):
        pass


check = types.ModuleType("diffusers.dependency_versions_check")
check.dep_version_check = lambda *a, **k: None
sys.modules[check.__name__] = check
sys.meta_path.append(Finder())
