"""What ends once is started again at once; what keeps ending is given up."""

from shell.restarts import PAUSE_SECONDS, RESTARTS, Restarts


def test_the_first_end_is_no_reason_to_wait_and_each_that_follows_is() -> None:
    restarts, pauses = Restarts(), list[float]()
    for _ in range(RESTARTS):
        assert not restarts.are_too_many("worker")
        pauses.append(restarts.pause_seconds("worker"))
    assert pauses == [0.0, *[PAUSE_SECONDS] * (RESTARTS - 1)]
    assert restarts.are_too_many("worker")
    assert not restarts.are_too_many("api"), "each for itself"
