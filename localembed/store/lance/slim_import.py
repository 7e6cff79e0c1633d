"""Import lancedb without the client of remote catalogs that it brings along.

`import lancedb` took 2.2 s, 1.3 s of them for `lance_namespace`, an HTTP client whose hundreds of
pydantic models are built at once; a table in a folder never calls it. Measured with
`python -X importtime -c "import lancedb"`, 0.40.0, 2 cores.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGES = frozenset({"lance_namespace", "lance_namespace_urllib3_client"})


def leave_out_namespaces() -> None:
    """Let lancedb find a hollow client, in a process that is ours alone.

    Everything in it is an exception class: lancedb's modules can inherit from it and catch it.
    """
    if not any(isinstance(finder, _HollowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HollowFinder())


class _HollowModule(ModuleType):
    def __getattr__(self, name: str) -> type[Exception]:
        """Make up what is asked for."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (Exception,), {})
        setattr(self, name, made)
        return made


class _HollowFinder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the client and everything below it."""
        if fullname.partition(".")[0] not in _PACKAGES:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make it without reading a file."""
        return _HollowModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""
