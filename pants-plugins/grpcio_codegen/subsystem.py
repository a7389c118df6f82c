"""Where the codegen's packages come from: `[grpcio-tools]` in pants.toml."""

from pants.backend.python.subsystems.python_tool_base import PythonToolBase
from pants.backend.python.target_types import EntryPoint


class GrpcioTools(PythonToolBase):
    options_scope = "grpcio-tools"
    name = "grpcio-tools"
    help = "protoc and its Python plugins, as PyPI ships them in grpcio-tools and mypy-protobuf."

    default_version = "grpcio-tools"
    default_main = EntryPoint("stubs")  # tools/stubs.py, which `./tandem` runs too

    register_interpreter_constraints = True
    # Pants demands a name; `install_from_resolve` says which lock is really read.
    default_lockfile_resource = ("grpcio_codegen", "none.lock")
