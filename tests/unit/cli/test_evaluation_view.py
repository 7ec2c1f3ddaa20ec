"""One evaluation as lines of text."""

from candor.orchestrator.v1 import orchestrator_pb2

from candor_cli.view.evaluation import lines


def test_who_created_it_is_shown_where_callers_have_names() -> None:
    found = orchestrator_pb2.Evaluation(name="evaluations/e1", created_by="nightly")
    assert "created by  nightly" in list(lines(found, [], "RUNNING"))
    assert not [line for line in lines(orchestrator_pb2.Evaluation(), [], "RUNNING") if line.startswith("created by")]
