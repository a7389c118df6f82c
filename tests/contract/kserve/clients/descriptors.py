"""What Triton's client knows of the protocol: its own descriptors, as one set."""

import sys

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2

known = FileDescriptorSet()
for module in (model_config_pb2, service_pb2):
    module.DESCRIPTOR.CopyToProto(known.file.add())
sys.stdout.buffer.write(known.SerializeToString())
