"""Exports a local stack, imports that into the deployed one, and the deployed one into another local stack."""

import json
import os
import subprocess
import urllib.error
import urllib.request

from checks import check, equal, section
from emulators import Failure, Process, free_port

KEY = "proof-key-of-the-local-stack"
SECRET = "canary-secret-of-the-provider"
INPUT = "canary-secret-input"
# One without jobs: the `process` provider, which they would run on, is only there.
SEED = {"api_keys": [{"key": KEY, "name": "local", "tenants": "*", "scopes": ["*"]}], "tenant": "seeded", "jobs": []}
GROUP = {"apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": {"name": "leads"}, "spec": {"type": "team", "children": [], "members": ["proof-moved"]}}
SECRETS = {"providers": {"moved": SECRET}, "secret_inputs": {"moved/shop": {"dev": {"token": INPUT}}}}


class LocalStack(Process):
    """`gatehouse`, with one key and nothing else."""

    def __init__(self, name, gatehouse, work):
        self.url = f"http://127.0.0.1:{free_port()}"
        folder = work / name
        folder.mkdir()
        (folder / "seed.yaml").write_text(json.dumps(SEED))
        port = self.url.rpartition(":")[2]
        # Without modules: each stack publishes those of its directory by itself.
        (folder / "modules").mkdir()
        command = [gatehouse, "--port", port, "--data-dir", folder / "data", "--seed", folder / "seed.yaml"]
        command += ["--modules", folder / "modules"]
        super().__init__(name, command, work)

    def __enter__(self):
        super().__enter__()
        self.wait_for(f"{self.url}/health")
        return self

    def write(self, method, path, body):
        """Sends JSON, and insists on success."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            raise Failure(f"{method} {path} answered {error.code} {error.read().decode()}") from error

    def fill(self):
        """Something of every kind."""
        self.write("PUT", "/v1/tenants/moved", {"display_name": "Moved"})
        self.write("PUT", "/v1/projects/moved", {"tenant": "moved", "accepted_services": ["worker"]})
        self.write("PUT", "/v1/tenants/moved", {"display_name": "Moved", "default_project": "moved"})
        user = {"user_name": "proof-moved", "password": "skies of blue", "roles": {"moved": "developer"}}
        self.write("POST", "/v1/users", user)
        auth = {"grant": "password", "username": "ci-gateway", "password": SECRET}
        provider = {"kind": "concourse", "url": "https://ci.example.com", "auth": auth, "scopes": {"moved": ["main"]}}
        self.write("PUT", "/v1/providers/moved", provider)
        inputs = {"size": {"type": "number", "required": True}, "token": {"type": "string", "sensitive": True}}
        self.write("PUT", "/v1/modules/moved", {"inputs": inputs, "outputs": {}})
        target = {"kind": "concourse", "name": "moved", "ref": {"team": "main", "pipeline": "shop", "job": "deploy"}}
        self.write("PUT", "/v1/jobs/moved-deploy", {"project": "moved", "provider": target})
        self.write("POST", "/v1/catalog/import?tenant=moved", [GROUP])
        environments = [
            {"name": "dev", "category": "dev", "module": "moved", "inputs": {"size": 3, "token": INPUT}},
            {"name": "prod", "category": "prod", "approval_required": True, "approval_group": "leads"},
        ]
        service = {"tenant": "moved", "name": "shop", "owner": "leads", "environments": environments}
        self.write("POST", "/services", service | {"deploy": {"job": "moved-deploy"}})


def drive_moving(gatehouse, url, key, work):
    """`url` and `key` are those of the deployed stack, and of its platform admin."""
    section("From a local stack to the deployed one, and back")
    work.mkdir()
    secrets = work / "secrets.yaml"
    secrets.write_text(json.dumps(SECRETS))

    def command(site, credential, *arguments):
        environment = {**os.environ, "GATEHOUSE_TOKEN": credential, "GATEHOUSE_URL": site}
        ran = subprocess.run(
            [gatehouse, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if SECRET in ran.stdout + ran.stderr or INPUT in ran.stdout + ran.stderr:
            raise Failure("a secret is shown")
        return ran

    def export(site, credential, name):
        file = work / f"{name}.json"
        ran = command(site, credential, "export", "-o", file)
        equal(ran.returncode, 0, f"the exit code, {ran.stderr}")
        return file

    def report(site, credential, file, *flags):
        ran = command(site, credential, "import", file, "--json", *flags)
        said = json.loads(ran.stdout) if ran.stdout else {"stderr": ran.stderr}
        refused = [entry for entry in said.get("entries", []) if entry["outcome"] == "refused"]
        equal((ran.returncode, refused), (0, []), f"the exit code and what is refused, {ran.stderr}")
        return said

    with LocalStack("first", gatehouse, work) as first, LocalStack("second", gatehouse, work) as second:
        with check("fill and export a local stack"):
            first.fill()
            file = export(first.url, KEY, "first")
        with check("--dry-run changes nothing"):
            before = export(url, key, "before").read_text()
            report(url, key, file, "--dry-run", "--secrets", secrets)
            equal(export(url, key, "after-dry-run").read_text() == before, True, "whether it is as it was")
        with check("import it into the deployed stack") as line:
            said = report(url, key, file, "--secrets", secrets)
            line.append(json.dumps(said["summary"]))
            by_hand = [what.split(":")[0] for what in said["by_hand"]]
            equal(by_hand, ["user proof-moved", "API key local"], "what is left to do by hand")
        with check("the same again changes nothing"):
            summary = report(url, key, file, "--secrets", secrets)["summary"]
            equal((summary["created"], summary["changed"]), (0, 0), "what was written")
        with check("export the deployed stack: everything of the local one is in it"):
            deployed, wanted = export(url, key, "deployed"), _decided(file)
            came = _of_the_local_one(_decided(deployed), wanted)
            equal(came, wanted, "what the deployed one has of the local one")
        with check("and import that into another local stack"):
            # What else is deployed was made by other parts of the proof, with a CI system that is gone.
            back = work / "back.json"
            kinds = json.loads(deployed.read_text())
            kinds |= _of_the_local_one(kinds, wanted) | {"api_keys": [], "tokens": []}
            back.write_text(json.dumps(kinds))
            report(second.url, KEY, back, "--secrets", secrets)
            equal(_decided(export(second.url, KEY, "second")), wanted, "what came back")


def _of_the_local_one(kinds, wanted):
    """The entries of these kinds that are called as those that are wanted."""
    names = ("tenant", "project", "user_name", "name", "job_id", "ref")
    called = lambda entry: [entry.get(name) for name in names]  # noqa: E731
    return {kind: [entry for entry in kinds[kind] if called(entry) in map(called, wanted[kind])] for kind in wanted}


def _decided(file):
    """What is imported of a file, and so what must be the same on both sides."""
    kinds = json.loads(file.read_text())
    for kind in ("gatehouse", "api_keys", "tokens"):
        kinds.pop(kind)
    return kinds
