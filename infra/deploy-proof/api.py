"""Calls the deployed API as a client would."""

import http.client
import json
from urllib.parse import urlencode

from emulators import HOST, Failure

PROBLEM = "application/problem+json"


class Answer:
    """What came back."""

    def __init__(self, call, status, headers, text):
        self.call, self.status, self.headers, self.text = call, status, headers, text

    def __str__(self):
        return f"{self.call} answered {self.status} {self.headers.get('content-type', '')}\n{self.text[:2000]}"

    def json(self):
        """The body as JSON."""
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise Failure(f"not JSON: {self}") from error

    def expect(self, status, content_type="application/json"):
        """Insists on the status and the type; returns the answer."""
        got = self.headers.get("content-type", "").split(";")[0]
        if self.status != status or (content_type and got != content_type):
            raise Failure(f"wanted {status} {content_type or ''}: {self}")
        return self

    def expect_problem(self, status, kind):
        """Insists on one of our problem bodies."""
        body = self.expect(status, PROBLEM).json()
        wrong = body.get("type") != f"/problems/{kind}" or body.get("status") != status
        if wrong or not body.get("title") or not body.get("request_id"):
            raise Failure(f"wanted a whole problem body of type /problems/{kind}: {self}")
        return body


class Api:
    """A stage of a REST API in MiniStack, which finds it by the name of the host."""

    def __init__(self, port, api_id, stage, key=None):
        self._port, self._id, self._stage, self._key = port, api_id, stage, key
        # For programs that find it by its URL alone: not every machine resolves names below `localhost`.
        self.url = f"http://{HOST}:{port}/_aws/execute-api/{api_id}/{stage}"

    def with_key(self, key):
        """The same API, called with another credential."""
        return Api(self._port, self._id, self._stage, key)

    def call(self, method, path, body=None, headers=None, **query):
        """Sends one request. A body that is not text is sent as JSON."""
        sent = {"Host": f"{self._id}.execute-api.localhost:{self._port}", "Accept": "application/json"}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        url = f"/{self._stage}{path}" + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        try:
            connection.request(method, url, body, sent)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(f"{method} {path}", response.status, names, text)

    def get(self, path, headers=None, **query):
        return self.call("GET", path, None, headers, **query)

    def post(self, path, body=None, headers=None, **query):
        return self.call("POST", path, body, headers, **query)

    def put(self, path, body=None, headers=None, **query):
        return self.call("PUT", path, body, headers, **query)
