"""All that Triton's client is asked to do, at an address and with a token's file; what came of it
as one JSON object.
"""

import json
import queue
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

MODEL, TALKER = "hashes", "default"
SHOWN = {"authorization": f"Bearer {Path(sys.argv[2]).read_text().strip()}"}
TEXTS = np.array([b"a pump", "größe".encode(), b"wax"], dtype=object)


def texts_of(client, found):
    given = triton.InferInput("text", [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(TEXTS)
    wanted = [triton.InferRequestedOutput("embedding")]
    how = {"outputs": wanted, "headers": SHOWN, "request_id": "7"}
    result = client.infer(MODEL, [given], priority=2, timeout=20_000_000, **how)
    numbers = result.as_numpy("embedding")
    found["shape"], found["lengths"] = numbers.shape, [float(row @ row) for row in numbers]
    found["first"] = numbers[:, :4].tolist()
    response = result.get_response()
    found["id"], found["version"] = response.id, response.model_version
    found["bytes"] = len(response.raw_output_contents[0])
    compressed = client.infer(MODEL, [given], compression_algorithm="gzip", **how)
    found["same"] = bool((compressed.as_numpy("embedding") == numbers).all())
    later = queue.Queue()
    client.async_infer(MODEL, [given], lambda result, error: later.put((result, error)), **how)
    result, error = later.get(timeout=20)
    found["later"] = str(error) if error else result.as_numpy("embedding").shape


def server(client, found):
    found["live"], found["ready"] = client.is_server_live(), client.is_server_ready()
    found["model_ready"] = [client.is_model_ready(one) for one in (MODEL, "other")]
    found["server"] = client.get_server_metadata(as_json=True)["name"]
    found["metadata"] = client.get_model_metadata(MODEL, headers=SHOWN, as_json=True)
    found["config"] = client.get_model_config(MODEL, headers=SHOWN, as_json=True)["config"]
    index = client.get_model_repository_index(headers=SHOWN, as_json=True)["models"]
    found["index"] = {one["name"]: one["state"] for one in index}


def repository(client, found):
    client.unload_model(MODEL, headers=SHOWN)
    found["unloaded"] = client.is_model_ready(MODEL)
    client.load_model(MODEL, headers=SHOWN)
    found["loaded"] = client.is_model_ready(MODEL)
    told = client.get_inference_statistics(MODEL, headers=SHOWN, as_json=True)
    found["counted"] = told["model_stats"][0]["inference_count"]


def refusals(client, found):
    given = triton.InferInput("text", [1], "BYTES")
    given.set_data_from_numpy(np.array([b"a"], dtype=object))
    number = triton.InferInput("text", [1], "FP32")
    number.set_data_from_numpy(np.array([1.0], dtype=np.float32))
    shared = triton.InferInput("text", [1], "BYTES")
    shared.set_shared_memory("mine", 16)
    tries = {
        "no token": lambda: client.infer(MODEL, [given]),
        "unknown model": lambda: client.infer("other", [given], headers=SHOWN),
        "datatype": lambda: client.infer(MODEL, [number], headers=SHOWN),
        "shared memory": lambda: client.infer(MODEL, [shared], headers=SHOWN),
        "sequence": lambda: client.infer(MODEL, [given], sequence_id=4, headers=SHOWN),
        "region": lambda: client.get_system_shared_memory_status(headers=SHOWN),
        "trace": lambda: client.get_trace_settings(headers=SHOWN),
        "log": lambda: client.get_log_settings(headers=SHOWN),
    }
    for name, attempt in tries.items():
        try:
            attempt()
        except InferenceServerException as error:
            found[name] = [error.status().removeprefix("StatusCode."), error.message()]


def stream(client, found):
    prompt = triton.InferInput("text_input", [1], "BYTES")
    prompt.set_data_from_numpy(np.array([b"Count."], dtype=object))
    streamed = triton.InferInput("stream", [1], "BOOL")
    streamed.set_data_from_numpy(np.array([True]))
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=SHOWN)
    client.async_stream_infer(
        TALKER, [prompt, streamed], request_id="s", enable_empty_final_response=True
    )
    client.async_stream_infer("other", [prompt], request_id="t")
    words, finals, errors = [], [], []
    while len(errors) < 1:
        result, error = answers.get(timeout=20)
        if error is not None:
            errors.append(error.message())
            continue
        finals.append(result.get_response().parameters["triton_final_response"].bool_param)
        text = result.as_numpy("text_output")
        words += [] if text is None else [text[0].decode()]
    client.stop_stream()
    found["words"], found["finals"], found["errors"] = words, finals, errors


if __name__ == "__main__":
    told = {}
    with triton.InferenceServerClient(sys.argv[1]) as triton_client:
        for part in (server, texts_of, refusals, repository, stream):
            part(triton_client, told.setdefault(part.__name__, {}))
    json.dump(told, sys.stdout)
