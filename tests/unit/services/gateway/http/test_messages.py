"""Messages as JSON, and what JSON cannot say of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass

from services.gateway.http import messages
from services.gateway.http.denied import Denied
from tandem.fleet.v1 import plan_pb2 as plan


def test_what_is_inside_of_an_unknown_type_is_bytes_with_its_name() -> None:
    """The answer around it is told all the same, and what is known as it is."""
    known = Packed()
    known.Pack(Duration(seconds=2))
    unknown = Packed(type_url="type.googleapis.com/tandem.tale.v1.Settings", value=b"\x08\x01")
    agents = [plan.PlannedAgent(name="a", settings=unknown), plan.PlannedAgent(settings=known)]
    told = json.loads(messages.text_of(plan.PlannedHost(name="h", agents=agents)))
    opaque, clear = (one["settings"] for one in told["agents"])
    assert opaque == {"@type": "type.googleapis.com/tandem.tale.v1.Settings", "value": "CAE="}
    assert clear == {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "2s"}


def test_a_contract_of_another_pool_needs_no_types_of_this_process() -> None:
    """It is as well a pool that has nothing but the contract."""
    pool: Any = DescriptorPool()
    pool.AddSerializedFile(Packed.DESCRIPTOR.file.serialized_pb)
    file = FileDescriptorProto(name="tale.proto", package="tandem.tale.v1", syntax="proto3")
    file.dependency.append("google/protobuf/any.proto")
    field = file.message_type.add(name="Tale").field.add(name="settings", number=1)
    field.type, field.label = (
        FieldDescriptorProto.TYPE_MESSAGE,
        FieldDescriptorProto.LABEL_OPTIONAL,
    )
    field.type_name = ".google.protobuf.Any"
    pool.AddSerializedFile(file.SerializeToString())
    kind: Any = GetMessageClass(pool.FindMessageTypeByName("tandem.tale.v1.Tale"))
    tale = kind(settings={"type_url": "x/tandem.tale.v1.None", "value": b"a"})
    told = json.loads(messages.text_of(tale))
    assert told == messages.dict_of(tale, is_whole=True)
    assert told == {"settings": {"@type": "x/tandem.tale.v1.None", "value": "YQ=="}}


def test_what_is_no_such_message_says_what_it_has() -> None:
    """In one line: to whoever guessed a name it says which there are."""
    with pytest.raises(Denied) as caught:
        messages.filled(plan.PlannedHost, {"nmae": "h"})
    (said,) = caught.value.violations.values()
    assert said.startswith("there is no such field; there is name, ")
    assert "\n" not in said
