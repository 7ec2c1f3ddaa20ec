"""A caller of the grader, run in the command line's image: steady calls through one balanced channel until SIGTERM.

Prints a line of JSON twice a second and at the end: calls that were answered rightly, and the errors of those that were not.
"""

import asyncio
import json
import signal
import sys

import grpc
from candor.grader.v1 import grader_pb2, grader_pb2_grpc

from chassis.clients import Target, connect

_CASES = [
    grader_pb2.AnswerCase(question="Capital of Australia?", gold=["Canberra"], reply=f"It is {city}.")
    for city in ("Canberra", "Sydney")
]
_EXPECTED = ["correct", "incorrect"]
_WORKERS = 4
_PAUSE_SECONDS = 0.02
_DEADLINE_SECONDS = 20.0


def say(**found: object) -> None:
    """A line of the log."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


async def call(stub: grader_pb2_grpc.GraderServiceStub) -> str:
    """One call; what is wrong with its answer, or nothing."""
    request = grader_pb2.GradeAnswersRequest(cases=_CASES)
    try:
        answers = [each async for each in stub.GradeAnswers(request, timeout=_DEADLINE_SECONDS)]
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    verdicts = [each.grade.verdict for each in sorted(answers, key=lambda each: each.index)]
    return "" if verdicts == _EXPECTED else f"answers {verdicts}"


async def main(target: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    answered, lost = 0, list[str]()

    async def worker(stub: grader_pb2_grpc.GraderServiceStub) -> None:
        nonlocal answered
        while not stop.is_set():
            wrong = await call(stub)
            if wrong:
                lost.append(wrong)
            else:
                answered += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async with connect(Target(target)) as channel:
        stub = grader_pb2_grpc.GraderServiceStub(channel)
        workers = [asyncio.create_task(worker(stub)) for _ in range(_WORKERS)]
        while not stop.is_set():
            say(answered=answered, lost=lost)
            await asyncio.wait([asyncio.create_task(stop.wait())], timeout=0.5)
        await asyncio.gather(*workers)
    say(answered=answered, lost=lost)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
