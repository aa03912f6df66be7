"""That a right too many, a call too many and a request on its way are seen."""

import http.client
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from accounted import Spared
from emulators import HOST
from iam import Call, read_policy
from recorder import Recorder
from seen import needs, unaccounted

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/t"


def policies(**members):
    statement = {"Sid": "Write", "Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:DeleteItem"], "Resource": [TABLE]}
    return {"A": read_policy({"Version": "2012-10-17", "Statement": [statement | members]})}


def put(partition):
    return Call("dynamodb:PutItem", TABLE, {"dynamodb:LeadingKeys": (partition,)})


class Needs(unittest.TestCase):
    def test_an_action_that_nobody_called(self):
        needed, unneeded = needs(policies(), {"A": [put("x")]})
        self.assertEqual([right.action for _, right in needed], ["dynamodb:PutItem"])
        self.assertEqual(unaccounted(unneeded, []), [f"A, Write: dynamodb:DeleteItem of {TABLE}"])

    def test_what_others_call_is_no_reason(self):
        _, unneeded = needs(policies(Action="dynamodb:PutItem"), {"A": [], "B": [put("x")]})
        self.assertEqual(len(unneeded), 1)

    def test_a_resource_and_a_value_that_nobody_called(self):
        condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEASE#*", "PINS"]}}
        given = policies(Action="dynamodb:PutItem", Resource=[TABLE, f"{TABLE}/index/i"], Condition=condition)
        needed, unneeded = needs(given, {"A": [put("LEASE#x")]})
        self.assertEqual((len(needed), len(unneeded)), (1, 3))

    def test_what_is_denied_is_no_right(self):
        self.assertEqual(needs(policies(Effect="Deny"), {}), ([], []))

    def test_what_is_accounted_for(self):
        condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEASE#*", "PINS"]}}
        _, unneeded = needs(policies(Condition=condition), {})
        self.assertEqual(len(unneeded), 4)
        self.assertEqual(unaccounted(unneeded, [Spared("A", "Write", "")]), [])
        self.assertEqual(len(unaccounted(unneeded, [Spared("A", "Write", "", of="PINS")])), 2)
        self.assertEqual(len(unaccounted(unneeded, [Spared("A", "Write", "", ("dynamodb:PutItem",))])), 2)
        self.assertEqual(len(unaccounted(unneeded, [Spared("A", "Write", "", ("dynamodb:PutItem",), "LEASE#*")])), 3)
        self.assertEqual(len(unaccounted(unneeded, [Spared("B", "Write", ""), Spared("A", "Read", "")])), 4)


class Recording(unittest.TestCase):
    def test_a_request_is_kept_and_passed_on_as_it_came(self):
        arrived = []

        class Aws(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802, the name is the library's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                arrived.append((self.path, self.headers["Host"], self.headers["X-Amz-Target"], body))
                self.send_response(400)
                self.send_header("X-Amzn-Requestid", "r")
                self.send_header("Content-Length", "7")
                self.end_headers()
                self.wfile.write(b"refused")

            def log_message(self, *_):
                pass

        aws = ThreadingHTTPServer((HOST, 0), Aws)
        threading.Thread(target=aws.serve_forever, daemon=True).start()
        try:
            with Recorder(f"http://{HOST}:{aws.server_address[1]}") as recorder:
                for who in (None, "B"):
                    address = urlsplit(recorder.listen(who)).netloc
                    connection = http.client.HTTPConnection(address, timeout=10)
                    signature = "AWS4-HMAC-SHA256 Credential=ASIA1/20260901/eu-west-1/dynamodb/aws4_request"
                    headers = {"Authorization": signature, "X-Amz-Target": "X.GetItem"}
                    # On one connection, and the same twice.
                    for _ in range(2):
                        connection.request("POST", "/a?b=c", b"{}", headers)
                        answer = connection.getresponse()
                        got = (answer.status, answer.headers["X-Amzn-Requestid"], answer.read())
                        self.assertEqual(got, (400, "r", b"refused"))
                    self.assertEqual(arrived[-1], ("/a?b=c", address, "X.GetItem", b"{}"))
                    connection.close()
                seen = recorder.seen()
        finally:
            aws.shutdown()
            aws.server_close()
        self.assertEqual({who: [sent.operation for sent in requests] for who, requests in seen.items()}, {
            "ASIA1": ["GetItem"],
            "B": ["GetItem"],
        })
        self.assertEqual(len(arrived), 4)


if __name__ == "__main__":
    unittest.main()
