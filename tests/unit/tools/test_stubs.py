"""Contracts become Python, and an image that buf can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools import stubs

_ADDRESS = """\
syntax = "proto3";
package acme.v1;
import "buf/validate/validate.proto";
import "google/rpc/code.proto";
message Address {
  string street = 1 [(buf.validate.field).string.min_len = 1];
  google.rpc.Code code = 2;
}
"""
_SERVICE = """\
syntax = "proto3";
package acme.v1;
import "acme/v1/address.proto";
// Finds.
service FindService { rpc Find(Address) returns (Address); }
"""


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    package = tmp_path / "protos" / "acme" / "v1"
    package.mkdir(parents=True)
    (package / "address.proto").write_text(_ADDRESS)
    (package / "find_service.proto").write_text(_SERVICE)
    return tmp_path / "protos"


def test_all_contracts_get_messages_services_and_types(protos: Path, tmp_path: Path) -> None:
    """Each contract has its four files, and the rules that they import have theirs."""
    stubs.generate(tmp_path / "out", protos)
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.py*")}
    ours = {
        f"acme/v1/{stem}{suffix}"
        for stem in ("address", "find_service")
        for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
    }
    assert made == ours | {"buf/validate/validate_pb2.py", "buf/validate/validate_pb2.pyi"}
    image = FileDescriptorSet.FromString((tmp_path / "out" / stubs.IMAGE).read_bytes())
    comments = [one.leading_comments for one in image.file[-1].source_code_info.location]
    assert " Finds.\n" in comments


def test_one_contract_alone_gets_the_same_stubs(protos: Path, tmp_path: Path) -> None:
    """Pants generates file by file what `./tandem` generates at once, byte for byte."""
    stubs.generate(tmp_path / "all", protos)
    stubs.generate(tmp_path / "one", protos, ["acme/v1/address.proto"])
    made = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert {path.name.partition("_pb2")[0] for path in made} == {"address"}
    for path in made:
        assert (
            path.read_bytes()
            == (tmp_path / "all" / path.relative_to(tmp_path / "one")).read_bytes()
        )


def test_the_image_tells_ours_from_what_we_import(protos: Path, tmp_path: Path) -> None:
    """The image stands alone, and buf is told which files are not ours to judge."""
    stubs.write_image(tmp_path / "image.binpb", protos)
    image = FileDescriptorSet.FromString((tmp_path / "image.binpb").read_bytes())
    imported = {file.name for file in image.file if stubs.IS_IMPORT in file.SerializeToString()}
    assert {"buf/validate/validate.proto", "google/rpc/code.proto"} <= imported
    assert {file.name for file in image.file} - imported == {
        "acme/v1/address.proto",
        "acme/v1/find_service.proto",
    }


def test_contracts_that_do_not_compile_are_refused(protos: Path, tmp_path: Path) -> None:
    """A contract that protoc refuses leaves no image behind."""
    (protos / "acme" / "v1" / "address.proto").write_text(_ADDRESS.replace("string street", "x y"))
    with pytest.raises(stubs.ContractFailure):
        stubs.write_image(tmp_path / "image.binpb", protos)
    assert not (tmp_path / "image.binpb").exists()
