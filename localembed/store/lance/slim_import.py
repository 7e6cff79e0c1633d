"""Import lancedb without its client for remote catalogs.

`import lancedb` took 2.2 s, 1.3 s of it for `lance_namespace`, an HTTP client whose hundreds of
pydantic models are built on import; a table in a folder never calls it. Measured with
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
    """Replace the client by a stub, in a process that is not shared with other code.

    Every name in it is an exception class: lancedb's modules can inherit from it and catch it.
    """
    if not any(isinstance(finder, _StubFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _StubFinder())


class _StubModule(ModuleType):
    def __getattr__(self, name: str) -> type[Exception]:
        """Create an exception class of this name."""
        if name.startswith("__"):
            raise AttributeError(name)
        stub = type(name, (Exception,), {})
        setattr(self, name, stub)
        return stub


class _StubFinder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for the client and everything below it."""
        if fullname.partition(".")[0] not in _PACKAGES:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create the module without reading a file."""
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""
