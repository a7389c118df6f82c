"""Turns the contracts into Python: messages, gRPC stubs, and types for both.

`./tandem` runs it for all of protos/; Pants runs it in a sandbox for one file at a time.
"""

import argparse
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import code_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

# What protovalidate's rules are written in. Its wheel carries only the descriptor, no .proto.
RULES = "buf/validate/validate.proto"
ROOT = Path(__file__).resolve().parent.parent / "protos"
IMAGE = "contracts.binpb"
# buf's own field of a file in an image: buf_extension { is_import: true }. Without it buf would
# lint what we import, and compare it too.
IS_IMPORT = b"\xd2\xf6\x03\x02\x08\x01"


class ContractFailure(Exception):
    """protoc refused the contracts; it has said why on stderr."""


def write_rules_descriptor(path: Path) -> None:
    """The descriptor of RULES and of what it imports, for protoc's --descriptor_set_in."""
    known = FileDescriptorSet()
    known.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    path.write_bytes(known.SerializeToString())


def packaged_roots() -> list[Path]:
    """Where packages keep the .proto files that ours import: google/protobuf, api, rpc."""
    return [Path(protoc.__file__).parent / "_proto", Path(code_pb2.__file__).parents[2]]


def run_protoc(root: Path, outputs: Sequence[str], protos: Sequence[str]) -> None:
    """Run protoc over `protos` (relative to root), with all that they may import in reach."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, "rules.binpb")
        write_rules_descriptor(rules)
        scripts = Path(sysconfig.get_path("scripts"))
        argv = [
            "protoc",
            *(f"-I{path}" for path in (root, *packaged_roots())),
            f"--descriptor_set_in={rules}",
            *(f"--plugin={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            *outputs,
            *protos,
        ]
        if protoc.main(argv) != 0:
            raise ContractFailure


def protos_under(root: Path) -> list[str]:
    """Every contract, as protoc wants it named."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.proto"))


def generate(out: Path, root: Path = ROOT, protos: Sequence[str] = ()) -> None:
    """Write the stubs of `protos` into `out`; by default of all contracts and of RULES.

    RULES need stubs of their own making: no package has them, and ours import them.
    """
    out.mkdir(parents=True, exist_ok=True)
    messages = [f"--python_out={out}", f"--mypy_out=quiet:{out}"]
    services = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"]
    wanted = protos or [RULES, *protos_under(root)]
    if RULES in wanted:
        run_protoc(root, messages, [RULES])
    if ours := [path for path in wanted if path != RULES]:
        run_protoc(root, messages + services, ours)
    if not protos:
        # For the command line, which shows comments: what servers tell of a contract has none.
        write_image(out / IMAGE, root)


def write_image(path: Path, root: Path = ROOT) -> None:
    """Write one descriptor set of all contracts, their imports and their comments, for buf."""
    outputs = [f"--descriptor_set_out={path}", "--include_imports", "--include_source_info"]
    ours = protos_under(root)
    run_protoc(root, outputs, ours)
    image = FileDescriptorSet.FromString(path.read_bytes())
    for file in image.file:
        if file.name not in ours:
            file.MergeFromString(IS_IMPORT)
    path.write_bytes(image.SerializeToString(deterministic=True))


def main() -> int:
    """Generate stubs, or an image; exit 1 where the contracts do not compile."""
    parser = argparse.ArgumentParser(prog="tools/stubs.py", description=__doc__)
    parser.add_argument("protos", nargs="*", help="relative to the root; all of it by default")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--out", type=Path, help="the folder for the stubs")
    parser.add_argument("--descriptor-set", type=Path, help="the file for the image")
    asked = parser.parse_args()
    try:
        if asked.out:
            generate(asked.out, asked.root, asked.protos)
        if asked.descriptor_set:
            write_image(asked.descriptor_set, asked.root)
    except ContractFailure:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
