"""Work that is shared by threads may be interrupted where it takes long."""

import _thread
import threading

import numpy as np
import pytest

from fields.kernels.queue_cpu import END, ended, share_calmly, take


def test_all_pieces_are_taken_once():
    taken, lock = [], threading.Lock()

    def kernel(queue, count):
        while (piece := take(queue)) < count:
            with lock:
                taken.append(piece)

    share_calmly(kernel, 100)
    assert sorted(taken) == list(range(100))


def test_an_interrupt_reaches_the_waiting_thread_and_ends_the_kernel():
    def endless(queue):
        _thread.interrupt_main()
        while take(queue) < END:
            pass

    with pytest.raises(KeyboardInterrupt):
        share_calmly(endless)


def test_what_goes_wrong_in_a_thread_is_raised():
    def broken(queue):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        share_calmly(broken)


def test_ended_only_after_an_interrupt():
    assert not ended.py_func(np.array([5]))
    assert ended.py_func(np.array([END + 5]))
