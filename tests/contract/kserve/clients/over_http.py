"""The same client's other half, over HTTP: an address, and a token's file."""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

MODEL, TALKER = "hashes", "talker/words"
TEXTS = np.array([b"a pump", "größe".encode(), b"wax"], dtype=object)


def shown():
    """New ones each time: the client writes into those that it is given."""
    return {"authorization": f"Bearer {Path(sys.argv[2]).read_text().strip()}"}


def inferred(client, binary_in, binary_out, **how):
    given = triton.InferInput("text", [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(TEXTS, binary_data=binary_in)
    wanted = triton.InferRequestedOutput("embedding", binary_data=binary_out)
    result = client.infer(
        MODEL, [given], outputs=[wanted], headers=shown(), request_id="7", timeout=20_000_000, **how
    )
    return result.as_numpy("embedding"), result.get_response()


def texts_of(client, found):
    numbers, response = inferred(client, True, True)
    found["shape"], found["first"] = numbers.shape, numbers[:, :4].tolist()
    found["id"], found["version"] = response["id"], response["model_version"]
    others = [
        inferred(client, False, False),
        inferred(client, True, False, request_compression_algorithm="gzip"),
        inferred(client, False, True),
    ]
    found["same"] = [bool((one == numbers).all()) for one, _ in others]
    given = triton.InferInput("text", [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(TEXTS)
    plain = client.infer(MODEL, [given], headers=shown())
    found["plain"] = plain.get_output("embedding")["parameters"]
    found["later"] = (
        client.async_infer(MODEL, [given], headers=shown()).get_result().as_numpy("embedding").shape
    )


def server(client, found):
    found["live"], found["ready"] = client.is_server_live(), client.is_server_ready()
    found["model_ready"] = [client.is_model_ready(one, headers=shown()) for one in (MODEL, "other")]
    found["server"] = client.get_server_metadata()["name"]
    found["metadata"] = client.get_model_metadata(MODEL, headers=shown())
    found["config"] = client.get_model_config(MODEL, headers=shown())
    index = client.get_model_repository_index(headers=shown())
    found["index"] = {one["name"]: one["state"] for one in index}


def repository(client, found):
    client.unload_model(MODEL, headers=shown(), unload_dependents=True)
    found["unloaded"] = client.is_model_ready(MODEL, headers=shown())
    client.load_model(MODEL, headers=shown())
    found["loaded"] = client.is_model_ready(MODEL, headers=shown())
    told = client.get_inference_statistics(MODEL, headers=shown())
    found["counted"] = told["model_stats"][0]["inference_count"]


def answered(client, found):
    given = triton.InferInput("text_input", [1], "BYTES")
    given.set_data_from_numpy(np.array([b"Count."], dtype=object))
    told = client.infer(TALKER, [given], headers=shown())
    found["text"] = told.as_numpy("text_output")[0].decode()
    found["parameters"] = told.get_response()["parameters"]


def refusals(client, found):
    given = triton.InferInput("text", [1], "BYTES")
    given.set_data_from_numpy(np.array([b"a"], dtype=object))
    number = triton.InferInput("text", [1], "FP32")
    number.set_data_from_numpy(np.array([1.0], dtype=np.float32), binary_data=False)
    tries = {
        "no token": lambda: client.infer(MODEL, [given]),
        "unknown model": lambda: client.infer("other", [given], headers=shown()),
        "datatype": lambda: client.infer(MODEL, [number], headers=shown()),
        "sequence": lambda: client.infer(MODEL, [given], sequence_id=4, headers=shown()),
        "region": lambda: client.get_system_shared_memory_status(headers=shown()),
        "config": lambda: client.load_model(MODEL, config="{}", headers=shown()),
    }
    for name, attempt in tries.items():
        try:
            attempt()
        except InferenceServerException as error:
            found[name] = [error.status(), error.message()]


if __name__ == "__main__":
    told = {}
    with triton.InferenceServerClient(sys.argv[1]) as triton_client:
        for part in (server, texts_of, answered, refusals, repository):
            part(triton_client, told.setdefault(part.__name__, {}))
    json.dump(told, sys.stdout)
