"""Speaks vLLM's API without a model: `python fake_vllm.py PORT STATE_FOLDER`. Standard library only.

A user message `die` ends the process in the middle of the request, as a fatal engine error does; files in the state
folder change how it starts: `refuse` (prints an error and exits), `hang` (never answers), `mute` (dies at any question). Its `log` says what happened.
"""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT, STATE = int(sys.argv[1]), Path(sys.argv[2])
ADAPTERS: dict[str, str] = {}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    with (STATE / "log").open("a") as log:
        log.write(text + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def answer(self, status: int, body: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        self.answer(200, (STATE / "metrics").read_text() if self.path == "/metrics" else "ok")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            self.answer(401, {"error": {"message": "Unauthorized"}})
        elif self.path == "/v1/load_lora_adapter":
            name, path = body["lora_name"], Path(body["lora_path"])
            note(f"load {path.name}")
            if path.name == "foreign":
                self.answer(500, {"error": {"message": "expected target modules in {'q_proj'} but received ['w']"}})
                return
            ADAPTERS[name] = path.name
            self.answer(200, "Success")
        elif self.path == "/v1/unload_lora_adapter":
            note(f"unload {ADAPTERS.pop(body['lora_name'], '?')}")
            self.answer(200, "Success")
        else:
            self.chat(body)

    def chat(self, body: Any) -> None:
        with (STATE / "asked").open("a") as asked:
            asked.write(ADAPTERS.get(body["model"], body["model"]) + "\n")
        text, arm = body["messages"][-1]["content"], ADAPTERS.get(body["model"], body["model"])
        if arm == "nan" and "prompt_logprobs" in body:
            self.answer(500, {"error": {"message": "Out of range float values are not JSON compliant", "code": 500}})
        elif arm not in ("base", *ADAPTERS.values()):
            self.answer(404, {"error": {"message": f"The model `{arm}` does not exist.", "code": 404}})
        elif (STATE / "mute").exists() or text == "die" or (text == "die once" and not (STATE / "died").exists()):
            (STATE / "died").touch()
            say("(Worker pid=1) ERROR 01-01 00:00:00 [x.py:1] RuntimeError: the kernel gave up")
            os._exit(3)
        elif text == "long" and "max_tokens" in body:
            self.answer(400, {"error": {"message": "This model's maximum context length is 10 tokens", "code": 400}})
        else:
            shift = {"warm": 0.5, "infinite": 9999.0}.get(arm, 0.0)
            logprobs = [None, *({"7": {"logprob": -1.0 - place - shift}} for place in range(3))]
            message = {"role": "assistant", "content": f"{arm}: {text}"}
            self.answer(
                200,
                {
                    "model": body["model"],
                    "choices": [{"message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
                    "prompt_logprobs": logprobs if "prompt_logprobs" in body else None,
                },
            )


if __name__ == "__main__":
    note(f"start {os.getpid()}")
    if (STATE / "refuse").exists():
        say("(APIServer pid=1) Traceback (most recent call last):")
        say("(VllmWorker-0 pid=2) ERROR 01-01 00:00:00 [core.py:9] ValueError: head size 8 is not supported")
        say("(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)
    if (STATE / "hang").exists():
        say("loading ...")
        threading.Event().wait()
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    note(f"worker {worker.pid}")
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
