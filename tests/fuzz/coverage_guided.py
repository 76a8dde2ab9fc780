"""A coverage-guided fuzzer, atheris, on octets → request: `make fuzz`.

Options are libFuzzer's; those that matter are -runs=N, -seed=N and -max_total_time=SECONDS. An input that breaks
something is written to the current folder, and the run ends with an error. New inputs are kept in the first folder that
is named.
"""

import random
import sys
from collections import Counter

import atheris

with atheris.instrument_imports(include=["chfw_sr"]):
    from tests.fuzz import mutation, target

ENDS: Counter[str] = Counter()
OTHERS = [path.read_bytes() for path in target.seeds()]


def one_input(octets: bytes) -> None:
    """Take an input, and count how it ended."""
    ENDS[target.run(octets)] += 1
    executions = ENDS.total()
    if executions % 50_000 == 0:
        print(f"{executions} executions: {dict(ENDS.most_common())}", file=sys.stderr, flush=True)


def mutator(octets: bytes, max_size: int, seed: int) -> bytes:
    """Change an input: half by libFuzzer, half by the structure that it has."""
    rng = random.Random(seed)
    changed = atheris.Mutate(octets, max_size) if rng.random() < 0.5 else mutation.mutate(octets, rng, OTHERS)
    return changed[:max_size]


def main() -> None:
    """Fuzz as the command line says."""
    arguments = [*sys.argv, "-max_len=8192", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup(arguments, one_input, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
