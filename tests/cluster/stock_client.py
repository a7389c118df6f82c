"""One call to the toolbox by gRPC alone, as anybody's program would make it: no kit, no mesh, only
what the environment says.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc

from tandem.utility.v1 import text_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc

if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1]) as channel:
        request = pb.MeasureTextRequest(text=sys.argv[2])
        shown = (("authorization", f"Bearer {Path(sys.argv[3]).read_text().strip()}"),)
        told = rpc.ToolboxServiceStub(channel).MeasureText(request, timeout=20, metadata=shown)
    sys.stdout.write(f"{told.words}\n")
