"""Pages of responses: all of them, those of the run as it stands, and none too large for a message."""

from collections.abc import Callable
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2

from services.orchestrator.domain.record import Record
from services.orchestrator.service.responses import Responses

Document = Callable[..., evaluation_pb2.EvaluationSpec]


async def _pages(responses: Responses, evaluation_id: str, arm: str = "", size: int = 1000) -> list[list[Record]]:
    pages, token = [], ""
    while True:
        page = await responses.page(evaluation_id, arm, size, token)
        pages.append(page.records)
        token = page.next_token
        if not token:
            return pages


async def test_a_server_that_read_a_run_before_its_model_changed_shows_the_replies_of_the_new_one(
    suite: Any, document: Document
) -> None:
    suite.inference.digests = {"v1": "sha256:a", "v2": "sha256:b"}
    suite.inference.verifiable = True
    responses = Responses(suite.world)
    row = await suite.create(document())
    await suite.inference.reached(30)
    suite.inference.digests["v2"] = "sha256:c"
    await suite.runs.finish(row.id)
    await responses.page(row.id, "v2", 100, "")
    again = await suite.evaluate(document())
    assert again.id == row.id
    shown = [record for page in await _pages(responses, row.id, "v2") for record in page]
    assert len(shown) == suite.report.arms[1].calls
    assert all(record.reply for record in shown)


async def test_a_page_of_long_replies_stays_within_a_message_and_none_is_left_out(
    suite: Any, document: Document, answers: Any
) -> None:
    suite.inference.answer = lambda arm, text: answers["honest"](arm, text) + "\N{SNOWMAN}" * 200_000
    row = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")), limit=3)
    pages = await _pages(Responses(suite.world), row.id)
    assert [sum(len(record.reply.encode()) for record in page) <= 8 * 2**20 for page in pages] == [True] * len(pages)
    places = [(record.arm, record.item, record.context, record.belief) for page in pages for record in page]
    assert len(places) == len(set(places)) == 60


async def test_a_reply_that_fills_a_page_alone_is_shown(suite: Any, document: Document, answers: Any) -> None:
    suite.inference.answer = lambda arm, text: answers["honest"](arm, text) + "x" * 2_500_000
    row = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")), limit=1)
    pages = await _pages(Responses(suite.world), row.id, "v1")
    assert [len(page) for page in pages] == [1] * 10
