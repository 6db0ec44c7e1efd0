from __future__ import annotations

import pytest
import torch

from toolkit.optimise.threads import SMALL, threads_for


def test_small_fits_take_one_thread_and_the_setting_is_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(1000, 10):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(SMALL, 10):
            assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="inside"), threads_for(10, 10):
            raise ValueError("inside")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
