"""llama.cpp's server as its makers ship it, for chat and embeddings: `FILE PORT`. Until killed."""

import signal
import sys

import xllamacpp


def main(file: str, port: int) -> None:
    given = xllamacpp.CommonParams()
    given.model.path = file
    given.port = port
    given.n_parallel = 4
    given.embedding = True
    given.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    given.verbosity = 1
    given.ui = False
    server = xllamacpp.Server(given)
    try:
        signal.sigwait({signal.SIGTERM})
    finally:
        del server


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
