"""What a recovery that was interrupted takes for done."""

import json
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

from recover import Recovery, Trouble, moment


class Gone(Exception):
    pass


class Tables:
    """DynamoDB, of which only the status of the damaged table is asked; none where it is deleted."""

    class exceptions:  # noqa: N801, the client's name
        ResourceNotFoundException = Gone

    def __init__(self, status):
        self._status = status

    def describe_table(self, TableName):  # noqa: N803, the client's name
        if self._status is None:
            raise Gone(TableName)
        return {"Table": {"TableStatus": self._status}}


class Interrupted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "recovery.json"
        self.notes = {"settings": {}, "damaged": "arn:1", "credentials": "keep", "good": "arn:2"}

    def recovery(self, status, **notes):
        found = Recovery.__new__(Recovery)
        found.dynamodb, found.table, found.file, found.notes = Tables(status), "t", self.file, self.notes | notes
        return found

    def resumed(self, status, **notes):
        self.recovery(status, **notes).resume()
        return json.loads(self.file.read_text())

    def test_a_table_that_goes_on_is_backed_up_and_its_credentials_are_settled_once_more(self):
        self.assertEqual(self.resumed("ACTIVE"), {"settings": {}})

    def test_the_backups_of_a_table_that_is_gone_are_all_that_there_is(self):
        self.assertEqual(self.resumed(None), self.notes)
        self.assertEqual(self.resumed("DELETING"), self.notes)
        self.assertEqual(self.resumed("ACTIVE", deleted=True), self.notes | {"deleted": True})

    def test_credentials_are_settled_in_one_way(self):
        with self.assertRaisesRegex(Trouble, "--credentials keep"):
            self.recovery("ACTIVE").adopt("end", stop_executions=False, drain=0)
        self.assertFalse(self.file.exists())


class Moment(unittest.TestCase):
    def test_it_is_in_utc_where_it_does_not_say_otherwise(self):
        noon = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
        for text in ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"):
            self.assertEqual(moment(text), noon, text)


if __name__ == "__main__":
    unittest.main()
