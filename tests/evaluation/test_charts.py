from jetstream.evaluation import charts
from tests.support.evaluation import some_asked


def test_chart_of_the_same_answers_is_the_same() -> None:
    assert charts.histogram(some_asked(1)) == charts.histogram(some_asked(1))
