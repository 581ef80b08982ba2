import gc

from posttx.memory import OBJECTS, collect_rarely


def test_what_was_made_before_is_not_looked_through_again_and_what_comes_is_still_collected():
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
        assert gc.get_threshold()[0] == OBJECTS
        loop = []
        loop.append(loop)
        del loop
        assert gc.collect() >= 1
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
