"""Build the graph index of one collection folder: `python -m services.retrieval.vectors.optimize FOLDER`."""

import sys

import qdrant_edge as qe


def main() -> None:
    """Load, optimize, close. Run as a child process, because the engine holds Python's lock meanwhile."""
    shard = qe.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
