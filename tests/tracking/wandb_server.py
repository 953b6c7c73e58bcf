"""A stand-in for a Weights & Biases server on loopback, for W&B's real client, command line, agent and ``wandb.Api``.

It speaks the GraphQL operations that the 0.31 client sends for runs, sweeps, agents and reading back, the history
stream and file upload, and answers an agent with the search of ``fedrec.sweep``, grid, random, bayes and hyperband. It
holds everything in memory for one entity.

What it is not: no GraphQL server (it looks at an operation's name and variables and answers whole objects, whatever
fields were asked for, so a query for a field that a real server does not have passes here); no accounts (any key is
welcome), permissions, rate limits, artifacts, reports, exports or web pages; no sampling of long histories; no pages
(everything comes on the first); the only filter of runs is by sweep. That a run looks right here says that the client
sends what fedrec means it to send, not that W&B's cloud accepts it.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from tests.tracking.wandb_state import ENTITY, NOW, Json, Run, Sweep, between, page, project_of, with_all


class WandbServer:
    """The server; use as a context manager.

    Attributes:
        url: Its base address.
        runs: Runs by name.
        sweeps: Sweeps by name.
        problems: What it was asked for and could not answer; a test wants this empty.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    # ------------------------------------------------------------------ GraphQL

    def graphql(self, query: str, variables: Json) -> Json:
        """Answer one operation."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else query.strip()[:80]
        answer: Callable[[Json], Json] | None = getattr(self, f"_{name}", None)
        with self._lock:
            if answer is None:
                self.problems.append(f"{name}: unknown operation, asked with {sorted(variables)}")
                return {"errors": [{"message": f"unknown operation {name}"}]}
            try:
                return {"data": answer(variables)}
            except (KeyError, TypeError, ValueError) as error:
                self.problems.append(f"{name}: {error!r} from {sorted(variables)}")
                return {"errors": [{"message": repr(error)}]}

    def _Viewer(self, _: Json) -> Json:  # noqa: N802  (operations are called as the client calls them)
        viewer = {"id": ENTITY, "entity": ENTITY, "username": ENTITY, "email": None, "flags": "{}", "admin": False}
        return {"viewer": viewer | {"name": ENTITY, "teams": {"edges": [{"node": {"name": ENTITY}}]}}}

    _GetDefaultEntity = _Viewer

    def _ServerFeaturesQuery(self, _: Json) -> Json:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def _RunResumeStatus(self, v: Json) -> Json:  # noqa: N802
        run = self.runs.get(v["name"])
        return {"model": project_of(v["project"]) | {"bucket": run.node() if run else None}}

    def _UpsertBucket(self, v: Json) -> Json:  # noqa: N802
        new = v["name"] not in self.runs
        run = self.runs.setdefault(v["name"], Run(v["name"], v["project"]))
        if v.get("config"):
            run.config |= json.loads(v["config"])
        run.sweep = v.get("sweep") or run.sweep
        run.fields |= {key: v[key] for key in ("displayName", "groupName", "jobType", "tags") if v.get(key)}
        return {"upsertBucket": {"bucket": run.node(), "inserted": new}}

    def _CreateRunFiles(self, v: Json) -> Json:  # noqa: N802
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{v['run']}/{name}"} for name in v["files"]]
        return {"createRunFiles": {"runID": f"run-{v['run']}", "uploadHeaders": [], "files": files}}

    # ------------------------------------------------------------------ reading back

    def _project(self, v: Json, **more: Any) -> Json:
        name = v.get("project") or v.get("name")
        return {"project": project_of(str(name)) | {"internalId": "1", "readOnly": False, "createdAt": NOW} | more}

    def _Runs(self, v: Json) -> Json:  # noqa: N802
        given = json.loads(v.get("filters") or "{}")
        wanted = {key: value for part in given.get("$and", [given]) for key, value in part.items()}
        if wanted.keys() - {"sweep"}:
            raise ValueError(f"filters {given}")
        runs = [r for r in self.runs.values() if r.project == v["project"] and wanted.get("sweep") in (None, r.sweep)]
        edges = [{"node": run.node(), "cursor": run.name} for run in runs]
        return self._project(v, runCount=len(runs), runs=page(edges))

    def _Run(self, v: Json) -> Json:  # noqa: N802
        run = self.runs.get(v["name"])
        return self._project(v, run=run.node() if run else None)

    _RunState = _Run
    _RunHistoryKeys = _Run

    def _RunSampledHistory(self, v: Json) -> Json:  # noqa: N802
        rows = self.runs[v["name"]].rows()
        return self._project(v, run={"sampledHistory": [with_all(rows, json.loads(s)["keys"]) for s in v["specs"]]})

    def _RunFullHistory(self, v: Json) -> Json:  # noqa: N802
        return self._project(v, run={"history": self.runs[v["name"]].history})

    def _RunParquetHistory(self, v: Json) -> Json:  # noqa: N802
        # No history has been exported to Parquet files: all of it is live and read by pages.
        live = self.runs[v["runName"]].rows()
        return self._project(v, run={"parquetHistory": {"parquetUrls": [], "liveData": live}})

    def _HistoryPage(self, v: Json) -> Json:  # noqa: N802
        rows = between(self.runs[v["run"]].rows(), v["minStep"], v["maxStep"])
        return self._project(v, run={"history": [json.dumps(row) for row in rows]})

    def _SampledHistoryPage(self, v: Json) -> Json:  # noqa: N802
        spec = json.loads(v["spec"])
        rows = between(self.runs[v["run"]].rows(), spec["minStep"], spec["maxStep"] + 1)  # here the last one counts
        return self._project(v, run={"sampledHistory": [with_all(rows, spec["keys"])]})

    def _RunFiles(self, v: Json) -> Json:  # noqa: N802
        run, wanted = self.runs[v["name"]], v.get("fileNames") or []
        edges = []
        for name, content in run.files.items():
            if not wanted or name in wanted:
                url = f"{self.url}/upload/{run.name}/{name}"
                about = {"id": name, "name": name, "url": url, "directUrl": url, "sizeBytes": len(content)}
                edges.append({"node": about | {"mimetype": "", "updatedAt": NOW, "md5": ""}, "cursor": name})
        return self._project(v, run={"fileCount": len(edges), "files": page(edges)})

    # ------------------------------------------------------------------ sweeps and agents

    def _UpsertSweep(self, v: Json) -> Json:  # noqa: N802
        name = v.get("id") or f"sweep{len(self.sweeps)}"
        project = v.get("projectName") or v.get("project")
        self.sweeps[name] = Sweep(name, str(project), yaml.safe_load(v["config"]))
        node = {"id": name, "name": name, "project": project_of(str(project))}
        return {"upsertSweep": {"sweep": node, "configValidationWarnings": []}}

    def _runs_of(self, sweep: Sweep) -> list[Run]:
        return [run for run in self.runs.values() if run.sweep == sweep.name]

    def _GetSweep(self, v: Json) -> Json:  # noqa: N802
        sweep = self.sweeps.get(v.get("name") or v.get("sweep") or "")
        return self._project(v, sweep=sweep.node(self._runs_of(sweep)) if sweep else None)

    _SweepWithRuns = _GetSweep
    _GetSweepState = _GetSweep

    def _GetSweeps(self, v: Json) -> Json:  # noqa: N802
        found = [s for s in self.sweeps.values() if s.project == v["project"]]
        edges = [{"node": sweep.node(self._runs_of(sweep))} for sweep in found]
        return self._project(v, totalSweeps=len(found), sweeps=page(edges))

    def _CreateAgent(self, v: Json) -> Json:  # noqa: N802
        return {"createAgent": {"agent": {"id": v["sweep"]}}}  # agents of a sweep need no names here

    def _Heartbeat(self, v: Json) -> Json:  # noqa: N802
        sweep = self.sweeps[v["id"]]
        alive = {name for name, lives in json.loads(v["runState"]).items() if lives}
        commands = [{"type": "stop", "run_id": name} for name in sweep.to_stop(self._runs_of(sweep), alive)]
        if not alive:
            run = sweep.next(self._runs_of(sweep))
            commands = [self._start(run) if run else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": v["id"]}, "commands": json.dumps(commands)}}

    def _start(self, run: Run) -> Json:
        self.runs[run.name] = run
        about = {"type": "run", "run_id": run.name, "run_name": run.name, "program": "", "logs": []}
        return about | {"args": dict(run.config)}

    # ------------------------------------------------------------------ streams and files

    def stream(self, name: str, content: Json) -> Json:
        """Take a piece of a run's files."""
        with self._lock:
            run = self.runs[name]
            for file, piece in content.get("files", {}).items():
                if file == "wandb-history.jsonl":
                    run.history[piece["offset"] :] = piece["content"]
                elif file == "wandb-summary.json":
                    run.summary |= json.loads(piece["content"][-1])
            if content.get("complete"):
                run.state = "finished" if content.get("exitcode") == 0 else "failed"
        return {}


class _Quiet(ThreadingHTTPServer):
    """Clients that end in the middle of a request are no news."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body, path = self._body(), urlsplit(self.path).path
            if path == "/graphql":
                request = json.loads(body)
                self._answer(server.graphql(request["query"], request.get("variables") or {}))
            elif path.endswith("/file_stream"):
                self._answer(server.stream(path.split("/")[-2], json.loads(body)))
            else:
                self._answer({})

        def do_PUT(self) -> None:
            _, _, run, name = unquote(urlsplit(self.path).path).split("/", 3)
            server.runs[run].files[name] = self._body()
            self._answer({})

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).split("/", 3)
            known = len(parts) == 4 and parts[1] == "upload" and parts[3] in server.runs[parts[2]].files
            self._send(server.runs[parts[2]].files[parts[3]] if known else b"", 200 if known else 404)

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _answer(self, content: Json) -> None:
            self._send(json.dumps(content).encode(), 200)

        def _send(self, content: bytes, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
