"""Arithmetic and memory of a device."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
from vqclip.device import keep_pages
import torch
{prepare}
pages, before = [], 0
for _ in range(24):  # the first find nothing that was kept
    torch.ones(2**24)
    before, last = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, before
    pages.append(before - last)
print(min(pages))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_pages_of_large_tensors_are_kept_for_the_next() -> None:
    """64 MiB are 32 large pages, or 16 384 of the usual size: glibc fetches them anew each time.

    Whether it finds the kept ones each time hangs on what else lies in the heap: that it ever does is what is asked.
    """
    taken = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(prepare=prepare)]))
        for prepare in ("keep_pages(False)", "keep_pages(True)")
    ]
    assert taken[0] >= 32
    assert taken[1] < taken[0] / 5
