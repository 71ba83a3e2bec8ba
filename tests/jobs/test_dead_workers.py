"""Leases of workers that were killed on this machine."""

import os
import socket
import subprocess
import sys

from jobs.worker import _is_dead_here

HOST = socket.gethostname()
HERE = f"{HOST}:{os.getpid()}"


def test_a_worker_of_this_machine_whose_process_is_gone_is_dead() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert _is_dead_here(f"{HOST}:{gone.pid}", HERE)


def test_a_worker_of_our_own_name_came_before_us() -> None:
    assert _is_dead_here(HERE, HERE)


def test_a_living_worker_and_one_of_another_machine_are_left_alone() -> None:
    assert not _is_dead_here(f"{HOST}:{os.getppid()}", HERE)
    assert not _is_dead_here("elsewhere:1", HERE)
