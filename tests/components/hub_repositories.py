"""What the stand-in hub of `hub.py` answers: repositories as huggingface.co shows them. No I/O."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

MODIFIED: Final = "2026-03-01T12:30:45.000Z"
_CACHED = re.compile(r"/api/resolve-cache/models/(.+?)/([0-9a-f]{40})/(.+)")
_RESOLVE = re.compile(r"/(.+?)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer like this, and do not look at the repository."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Repo:
    """One repository; `commits` from id to files, `refs` from branch to commit id."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    downloads: int = 0
    modified: str = MODIFIED


class Repositories:
    """See the module. `token` is the only one that this hub knows."""

    token: Final = "hf_stand_in_token"

    def __init__(self, *, page: int) -> None:
        self._page = page
        self.blobs: dict[str, bytes] = {}
        self.repos: dict[str, Repo] = {}
        self.moved: dict[str, str] = {}
        self.url = ""
        self.cdn_url = ""

    def add(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        private: bool = False,
        gated: bool = False,
    ) -> str:
        """Commit these files, and only these, to a branch. Returns the commit's id."""
        repo = self.repos.setdefault(name, Repo(private=private, gated=gated))
        listing = "".join(f"{path} {_sha1(data)}\n" for path, data in sorted(files.items()))
        commit = hashlib.sha1(f"{name} {listing}".encode()).hexdigest()
        repo.commits[commit] = dict(files)
        repo.refs[branch] = commit
        self.blobs |= {_sha256(data): data for path, data in files.items() if is_lfs(path, data)}
        return commit

    def answer(self, path: str, query: Mapping[str, list[str]], bearer: str) -> Answer:
        """What the hub itself says to a GET or HEAD."""
        if path == "/api/models":
            return self._search(query)
        found = re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree)/([^/]+)(?:/.*)?)?", path)
        if found:
            name, kind, revision = found[1], found[2] or "revision", unquote(found[3] or "main")
            if name in self.moved:
                target = path.replace(name, self.moved[name])
                return Answer(307, {"Location": target})
            repo = self._visible(name, bearer)
            if isinstance(repo, Answer):
                return repo
            commit = repo.refs.get(revision, revision)
            if commit not in repo.commits:
                return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            if kind == "tree":
                return self._tree(path, repo.commits[commit], query)
            return _json(self._info(name, repo, commit))
        for pattern in (_CACHED, _RESOLVE):
            found = pattern.fullmatch(path)
            if found:
                name, revision, file = (unquote(part) for part in found.groups())
                return self._file(name, revision, file, bearer, direct=pattern is _CACHED)
        return _error(404, "", "Sorry, we can't find the page you are looking for.")

    def _visible(self, name: str, bearer: str) -> Repo | Answer:
        repo = self.repos.get(name)
        if bearer and bearer != self.token:
            return _error(401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.private and not bearer):
            # As huggingface.co: who is not logged in cannot tell private from missing.
            status = 404 if bearer else 401
            return _error(status, "RepoNotFound", "Repository not found")
        return repo

    def _info(self, name: str, repo: Repo, commit: str) -> dict[str, Any]:
        return {
            "_id": "65f0", "id": name, "modelId": name, "sha": commit, "author": "Org",
            "lastModified": repo.modified, "private": repo.private, "disabled": False,
            "gated": "manual" if repo.gated else False, "downloads": repo.downloads, "likes": 1,
            "pipeline_tag": "text-generation", "tags": ["gguf"], "spaces": [],
            "createdAt": "2026-01-01T00:00:00.000Z", "usedStorage": 1,
            "siblings": [{"rfilename": path} for path in sorted(repo.commits[commit])],
        }  # fmt: skip

    def _tree(
        self, path: str, files: Mapping[str, bytes], query: Mapping[str, list[str]]
    ) -> Answer:
        recursive = query.get("recursive", [""])[0].lower() == "true"
        entries = [_entry(name, files[name]) for name in sorted(files)]
        folders = {name.rpartition("/")[0] for name in files if "/" in name}
        entries += [
            {"type": "directory", "oid": _sha1(name.encode()), "size": 0, "path": name}
            for name in sorted(folders)
        ]
        if not recursive:
            entries = [entry for entry in entries if "/" not in entry["path"]]
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + self._page < len(entries):
            flag = "true" if recursive else "false"
            following = f"{self.url}{path}?recursive={flag}&cursor={start + self._page}"
            headers["Link"] = f'<{following}>; rel="next"'
        return _json(entries[start : start + self._page], headers)

    def _file(self, name: str, revision: str, path: str, bearer: str, *, direct: bool) -> Answer:
        repo = self._visible(name, bearer)
        if isinstance(repo, Answer):
            return repo
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repo.gated and not bearer:
            return _error(401, "GatedRepo", f"Access to model {name} is restricted.")
        if repo.gated and bearer == self.token and repo.private:
            return _error(403, "GatedRepo", f"Access to model {name} is restricted.")
        data = repo.commits[commit].get(path)
        if data is None:
            return _error(404, "EntryNotFound", "Entry not found")
        common = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if is_lfs(path, data):
            digest = _sha256(data)
            linked = {
                **common,
                "X-Linked-Size": str(len(data)),
                "X-Linked-ETag": f'"{digest}"',
                "Location": f"{self.cdn_url}/blobs/{digest}?Expires=1&Signature=a%2Bb%3D%3D",
            }
            return Answer(302, linked, b"Found. Redirecting")
        etag = {**common, "ETag": f'"{_git_oid(data)}"'}
        if direct:
            return Answer(200, etag, data)
        location = f"/api/resolve-cache/models/{name}/{commit}/{path}"
        return Answer(307, {**etag, "Location": location, "X-Linked-Size": str(len(data))})

    def _search(self, query: Mapping[str, list[str]]) -> Answer:
        wanted = query.get("search", [""])[0].lower()
        limit = int(query.get("limit", ["30"])[0])
        found = [
            self._info(name, repo, next(iter(repo.refs.values())))
            for name, repo in self.repos.items()
            if wanted in name.lower() and not repo.private
        ]
        found.sort(key=lambda info: -int(info["downloads"]))
        return _json(found[:limit])


def is_lfs(path: str, data: bytes) -> bool:
    """Whether this hub keeps a file by LFS."""
    if path.endswith((".gguf", ".safetensors", ".bin")):
        return True
    return len(data) > 1024 and not path.endswith((".json", ".txt", ".md", ".jinja"))


def _entry(path: str, data: bytes) -> dict[str, Any]:
    if not is_lfs(path, data):
        return {"type": "file", "oid": _git_oid(data), "size": len(data), "path": path}
    lfs = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
    return {"type": "file", "oid": _sha1(data), "size": len(data), "lfs": lfs, "path": path}


def _json(value: object, headers: Mapping[str, str] | None = None) -> Answer:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(200, {**kind, **(headers or {})}, json.dumps(value).encode())


def _error(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Answer(status, headers, json.dumps({"error": message}).encode())


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
