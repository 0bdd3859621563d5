"""What is sent to a worker of a cluster, by value: it finds the package there and hands a task over.

Nothing of this project is imported before that: a launcher in a checkout calls the package `common`.
"""


def perform(task: bytes, version: str) -> bytes:
    """The JSON of a Result for the JSON of a task; raises RuntimeError where the package is missing."""
    try:
        from modelzoo.openvino import cluster
    except ImportError as error:
        raise RuntimeError(f"the package modelzoo-tools is missing on this worker ({error})") from None
    return cluster.perform_here(task, version)
