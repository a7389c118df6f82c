"""The server of llama.cpp for one model, on its usual loopback address: run by path, with the
interpreter of the part `llama-cpp`, which knows nothing else of ours.
"""

import importlib
import signal
import sys


def main(model: str, port: str, key: str) -> None:
    """Serves until it is told to end."""
    llama = importlib.import_module("xllamacpp")
    said = llama.CommonParams()
    said.model.path, said.port = model, int(port)
    said.model_alias = {"scripted"}
    said.cpuparams.n_threads = said.cpuparams_batch.n_threads = 1
    # A connection that is kept has one to itself for seconds.
    said.n_threads_http = 16
    said.api_keys = [key] if key else []
    server = llama.Server(said)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main(*sys.argv[1:])
