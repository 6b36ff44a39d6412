"""The same readers under atheris, which keeps inputs that reach new code; for development only.

atheris needs the readers imported under its eyes, so this is a process of its own: READER RUNS SEEDS CORPUS RESULT.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    """Run atheris on one reader, and write what was found beside the corpus."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    name, runs, seeds_folder, corpus, result = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["dnnplan"]):
        from benchmarks.fuzzing import feeding
        from benchmarks.fuzzing.readers import READERS

    seeds = feeding.read_seeds(Path(seeds_folder), name)
    reader = READERS[name]
    count, accepted, began = 0, 0, time.process_time()
    found: dict[str, dict[str, Any]] = {}
    with feeding.prepared(reader) as place:
        for data in seeds:
            feeding.feed(reader, data, place)
        base = feeding.peak()

        def one(data: bytes) -> None:
            nonlocal count, accepted
            count += 1
            try:
                accepted += feeding.feed(reader, data, place)
            except feeding.Finding as finding:
                if str(finding) not in found:
                    found[str(finding)] = {"what": str(finding), "input": data.hex()[:200_000]}
            if count % 500 == 0 or count >= int(runs):
                seconds, grown = time.process_time() - began, feeding.peak() - base
                row = {
                    "inputs": count,
                    "accepted": accepted,
                    "seconds": seconds,
                    "grown": grown,
                    "findings": list(found.values()),
                }
                Path(result).write_text(json.dumps(row))

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            numbers = random.Random(seed)
            if numbers.random() < 0.4:
                return bytes(atheris.Mutate(data, most))
            return reader.mutate(numbers, data or seeds[0], seeds)[:most]

        flags = [
            f"-runs={runs}",
            "-timeout=60",
            "-rss_limit_mb=4096",
            "-max_len=65536",
            "-print_final_stats=1",
            f"-artifact_prefix={corpus}/../",
        ]
        atheris.Setup(
            [sys.argv[0], *flags, corpus, str(Path(seeds_folder) / name)], one, custom_mutator=mutate
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
