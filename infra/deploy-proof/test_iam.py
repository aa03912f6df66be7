"""That calls are judged as IAM judges them, and that what is not understood is no answer."""

import unittest

from iam import Call, NotUnderstood, Statement, is_allowed, is_arn_like, is_like, read_policy

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/gatehouse"
FAMILY = "arn:aws:ecs:eu-west-1:123456789012:task-definition/provisioner"
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/provisioner"


def statement(action, resource="*", effect="Allow", **condition):
    read = {"Effect": effect, "Action": action, "Resource": resource}
    return Statement.read(read | ({"Condition": condition["condition"]} if condition else {}))


def of_partitions(*partitions):
    return Call("dynamodb:UpdateItem", TABLE, {"dynamodb:LeadingKeys": partitions})


class Patterns(unittest.TestCase):
    def test_a_star_stands_for_any_characters_and_for_none(self):
        self.assertTrue(is_like("RUN#main", "RUN#*"))
        self.assertTrue(is_like("RUN#", "RUN#*"))
        self.assertTrue(is_like("a/b:c\nd", "a*d"))
        self.assertFalse(is_like("RUN", "RUN#*"))
        self.assertFalse(is_like("PRERUN#main", "RUN#*"))

    def test_a_question_mark_stands_for_one_character(self):
        self.assertTrue(is_like("key-a", "key-?"))
        self.assertFalse(is_like("key-", "key-?"))
        self.assertFalse(is_like("key-ab", "key-?"))

    def test_no_other_character_has_a_meaning(self):
        self.assertFalse(is_like("aXb", "a.b"))
        self.assertTrue(is_like("a[b]+", "a[b]+"))
        self.assertFalse(is_like("RUN#x\n", "RUN#x"))

    def test_case_matters(self):
        self.assertFalse(is_like("run#x", "RUN#*"))

    def test_the_parts_of_an_arn_are_compared_one_by_one(self):
        self.assertTrue(is_arn_like(f"{FAMILY}:12", f"{FAMILY}:*"))
        self.assertTrue(is_arn_like(TABLE, "arn:aws:dynamodb:*:123456789012:table/*"))
        self.assertFalse(is_arn_like(TABLE, "arn:aws:dynamodb:*:table/gatehouse"))
        self.assertFalse(is_arn_like(TABLE, "arn:*:table/gatehouse"))
        self.assertFalse(is_arn_like(f"{TABLE}/index/gsi1", TABLE))
        self.assertTrue(is_arn_like(TABLE, "*"))


class Statements(unittest.TestCase):
    def test_nothing_is_allowed_that_no_statement_allows(self):
        self.assertFalse(is_allowed(of_partitions("RUN#x"), []))
        self.assertFalse(is_allowed(of_partitions("RUN#x"), [statement("dynamodb:GetItem")]))
        self.assertFalse(is_allowed(of_partitions("RUN#x"), [statement("dynamodb:UpdateItem", TABLE + "-2")]))
        self.assertTrue(is_allowed(of_partitions("RUN#x"), [statement("dynamodb:UpdateItem", TABLE)]))

    def test_the_case_of_an_action_does_not_matter(self):
        self.assertTrue(is_allowed(of_partitions("RUN#x"), [statement("DynamoDB:update*", TABLE)]))

    def test_one_that_denies_outweighs_all_that_allow(self):
        both = [statement("dynamodb:*"), statement("dynamodb:UpdateItem", TABLE, "Deny")]
        self.assertFalse(is_allowed(of_partitions("RUN#x"), both))
        self.assertFalse(is_allowed(of_partitions("RUN#x"), both[::-1]))
        self.assertTrue(is_allowed(Call("dynamodb:GetItem", TABLE), both))

    def test_one_alone_must_allow_the_whole_call(self):
        half = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "RUN#*"}}
        other = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "LEASE#*"}}
        halves = [statement("dynamodb:*", condition=half), statement("dynamodb:*", condition=other)]
        self.assertFalse(is_allowed(of_partitions("RUN#x", "LEASE#y"), halves))

    def test_the_parts_of_one(self):
        keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEASE#*", "PINS"]}}
        rights = list(statement(["dynamodb:DeleteItem", "dynamodb:PutItem"], TABLE, condition=keys).rights())
        self.assertEqual(len(rights), 4)
        put = Call("dynamodb:PutItem", TABLE, {"dynamodb:LeadingKeys": ("LEASE#x",)})
        self.assertEqual([str(right) for right in rights if right.serves(put)], [
            f": dynamodb:PutItem of {TABLE} where dynamodb:LeadingKeys is LEASE#*"
        ])

    def test_a_call_without_a_key_needs_no_value_of_it(self):
        keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "LEASE#*"}}
        (right,) = statement("dynamodb:Scan", TABLE, condition=keys).rights()
        self.assertFalse(right.serves(Call("dynamodb:Scan", TABLE)))


class Conditions(unittest.TestCase):
    def allows(self, condition, call):
        return is_allowed(call, [statement("*", condition=condition)])

    def test_all_of_several_values_have_to_be_as_one_of_the_policy(self):
        condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEASE#*", "PINS"]}}
        self.assertTrue(self.allows(condition, of_partitions("LEASE#x")))
        self.assertTrue(self.allows(condition, of_partitions("LEASE#x", "PINS")))
        self.assertFalse(self.allows(condition, of_partitions("LEASE#x", "RUN#y")))
        self.assertFalse(self.allows(condition, of_partitions("PINS#x")))

    def test_all_of_no_values_are(self):
        condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "LEASE#*"}}
        self.assertTrue(self.allows(condition, Call("dynamodb:Scan", TABLE)))
        self.assertTrue(self.allows(condition, of_partitions()))

    def test_any_of_several_values(self):
        condition = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": "LEASE#*"}}
        self.assertTrue(self.allows(condition, of_partitions("LEASE#x", "RUN#y")))
        self.assertFalse(self.allows(condition, of_partitions("RUN#y")))
        self.assertFalse(self.allows(condition, Call("dynamodb:Scan", TABLE)))

    def test_equal_is_not_alike(self):
        condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "RUN#*"}}
        self.assertTrue(self.allows(condition, of_partitions("RUN#*")))
        self.assertFalse(self.allows(condition, of_partitions("RUN#x")))

    def test_a_value_that_is_missing_is_not_equal(self):
        condition = {"ArnEquals": {"ecs:cluster": CLUSTER}}
        self.assertTrue(self.allows(condition, Call("ecs:RunTask", FAMILY, {"ecs:cluster": CLUSTER})))
        self.assertFalse(self.allows(condition, Call("ecs:RunTask", FAMILY, {"ecs:cluster": CLUSTER + "-2"})))
        self.assertFalse(self.allows(condition, Call("ecs:RunTask", FAMILY)))

    def test_equal_arns_may_have_stars(self):
        for operator in ("ArnEquals", "ArnLike"):
            condition = {operator: {"ecs:cluster": "arn:aws:ecs:*:123456789012:cluster/*"}}
            self.assertTrue(self.allows(condition, Call("ecs:RunTask", FAMILY, {"ecs:cluster": CLUSTER})))

    def test_every_key_and_every_operator_has_to_hold(self):
        condition = {
            "StringEquals": {"events:source": "gatehouse", "events:detail-type": ["a", "b"]},
            "StringLike": {"events:detail-type": "a*"},
        }
        keys = {"events:source": "gatehouse", "events:detail-type": "a"}
        self.assertTrue(self.allows(condition, Call("events:PutEvents", "*", keys)))
        self.assertFalse(self.allows(condition, Call("events:PutEvents", "*", keys | {"events:source": "other"})))
        self.assertFalse(self.allows(condition, Call("events:PutEvents", "*", keys | {"events:detail-type": "b"})))


class NotKnown(unittest.TestCase):
    def refuse(self, document):
        with self.assertRaises(NotUnderstood):
            read_policy(document)

    def refuse_statement(self, **elements):
        read = {"Effect": "Allow", "Action": "*", "Resource": "*"} | elements
        self.refuse({"Version": "2012-10-17", "Statement": [read]})

    def test_operators(self):
        for operator in ("StringNotLike", "Null", "StringEqualsIfExists", "IpAddress", "Bool", "", "ForSome:StringLike"):
            self.refuse_statement(Condition={operator: {"ecs:cluster": "x"}})

    def test_keys(self):
        self.refuse_statement(Condition={"StringEquals": {"aws:SourceIp": "10.0.0.1"}})
        self.refuse_statement(Condition={"StringEquals": {"dynamodb:Select": "COUNT"}})

    def test_a_key_of_several_values_as_if_it_had_one(self):
        self.refuse_statement(Condition={"StringEquals": {"dynamodb:LeadingKeys": "x"}})
        self.refuse_statement(Condition={"ForAllValues:StringEquals": {"ecs:cluster": "x"}})

    def test_elements(self):
        self.refuse_statement(NotAction="*")
        self.refuse_statement(NotResource="*")
        self.refuse_statement(Principal="*")
        self.refuse_statement(Effect="Perhaps")

    def test_variables(self):
        self.refuse_statement(Resource="arn:aws:s3:::bucket/${aws:username}")
        self.refuse_statement(Resource={"Fn::Sub": "x"})

    def test_other_versions(self):
        self.refuse({"Version": "2008-10-17", "Statement": []})
        self.refuse({"Statement": []})

    def test_a_policy_of_one_statement_is_read(self):
        allowing = {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": TABLE}
        statements = read_policy({"Version": "2012-10-17", "Statement": allowing})
        self.assertTrue(is_allowed(Call("dynamodb:Scan", TABLE), statements))


if __name__ == "__main__":
    unittest.main()
