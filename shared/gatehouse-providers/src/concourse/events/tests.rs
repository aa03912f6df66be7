use gatehouse_domain::ci::RunStatus;
use serde_json::{Map, json};

use super::*;

/// Reads events of one build, as its stream brings them; what each means, in short, with its type and version before it.
struct Build {
    reader: EventReader,
    table: String,
}

impl Build {
    fn new(plan: &Value) -> Self {
        let mut reader = EventReader::default();
        reader.add_plan(plan);
        Self { reader, table: String::new() }
    }

    fn read(&mut self, kind: &str, version: &str, data: &Value) -> Vec<RunEventBody> {
        let json = json!({"data": data, "event": kind, "version": version, "event_id": "5"}).to_string();
        assert_eq!(envelope(json.as_bytes()).unwrap().kind, kind);
        let bodies: Vec<_> =
            self.reader.read(kind, json.as_bytes()).into_iter().map(|meaning| meaning.body).collect();
        let told: Vec<_> = bodies.iter().map(short).collect();
        let told = if told.is_empty() { "-".to_owned() } else { told.join(" / ") };
        self.table.extend([kind, " ", version, ": ", &told, "\n"]);
        bodies
    }
}

/// A body in one line, without what is not there.
fn short(body: &RunEventBody) -> String {
    match body {
        RunEventBody::Status { status, provider_status, .. } => {
            format!("status {} ({provider_status})", status.as_str())
        }
        RunEventBody::Log { step, stream, text } => {
            let stream = if *stream == LogStream::Stderr { " stderr" } else { "" };
            format!("log of {}{stream}: {text:?}", step.as_deref().unwrap_or("-"))
        }
        RunEventBody::Error { step, message } => {
            format!("error of {}: {message}", step.as_deref().unwrap_or("-"))
        }
        RunEventBody::Step { step, name, phase, facts } => {
            let phase = match phase {
                StepPhase::Preparing => "preparing".to_owned(),
                StepPhase::Started => "started".to_owned(),
                StepPhase::Finished { exit_status, succeeded } => {
                    let exit = exit_status.map(|status| format!(" {status}")).unwrap_or_default();
                    let well = succeeded.map(|well| format!(" {well}")).unwrap_or_default();
                    format!("finished{exit}{well}")
                }
            };
            let facts = serde_json::to_value(facts).unwrap();
            let facts = if facts == json!({}) { String::new() } else { format!(" {facts}") };
            format!("{step} `{}` {phase}{facts}", name.as_deref().unwrap_or("-"))
        }
        RunEventBody::End => "end".to_owned(),
    }
}

/// `more` with the origin of a step of today.
fn of(id: &str, more: Value) -> Value {
    let mut data = Map::from_iter([("origin".to_owned(), json!({"id": id})), ("time".to_owned(), json!(9))]);
    let Value::Object(more) = more else { panic!("{more} is no object") };
    data.extend(more);
    Value::Object(data)
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn every_event_of_every_version_becomes_something() {
    let plan = json!({"id": "0", "do": [
        {"id": "g", "get": {"name": "repo"}}, {"id": "t", "task": {"name": "unit"}},
        {"id": "p", "put": {"name": "release"}}, {"id": "s", "set_pipeline": {"name": "app"}},
        {"id": "l", "load_var": {"name": "tag"}}, {"id": "r", "run": {"message": "greet"}},
        {"id": "a", "across": {"vars": [{"name": "go"}]}},
        {"id": "y", "retry": [{"id": "y1", "task": {"name": "flaky"}}, {"id": "y2", "task": {"name": "flaky"}}]},
    ]});
    let mut build = Build::new(&plan);
    let config = json!({"platform": "linux", "image": "docker:///go", "inputs": [{"name": "repo", "path": ""}],
        "run": {"path": "make", "args": ["test"], "dir": "repo"}});
    let unknown_yet =
        json!({"platform": "", "image": "", "run": {"path": "", "args": null, "dir": ""}, "inputs": null});
    let (version, metadata) = (json!({"ref": "abc"}), json!([{"name": "commit", "value": "abc"}]));
    let fetched = json!({"exit_status": 0, "version": version, "metadata": metadata});
    let substeps = json!([{"step": {"id": "a/0", "task": {"name": "build"}}, "values": ["1.22"]}]);
    let today = [
        ("status", "1.0", json!({"status": "started", "time": 9})),
        ("initialize-get", "1.0", json!({"origin": {"id": "g"}})),
        ("initialize-get", "2.0", of("g", json!({}))),
        ("waiting-for-worker", "1.0", of("g", json!({}))),
        ("start-get", "1.0", of("g", json!({}))),
        ("selected-worker", "1.0", of("g", json!({"selected_worker": "w1"}))),
        (
            "finish-get",
            "4.0",
            of("g", json!({"plan": {"name": "repo"}, "exit_status": 0, "version": version})),
        ),
        ("finish-get", "5.0", of("g", fetched.clone())),
        ("finish-get", "5.1", of("g", fetched.clone())),
        ("finish-get", "5.1", of("g", json!({"exit_status": 1, "version": null}))),
        ("initialize-task", "4.0", of("t", json!({"config": unknown_yet}))),
        ("image-check", "1.0", of("t", json!({"plan": {"id": "t/image-check", "check": {"name": "image"}}}))),
        ("image-check", "1.1", of("t", json!({"plan": {"id": "t/image-check", "check": {"name": "image"}}}))),
        ("image-get", "1.0", of("t", json!({"plan": {"id": "t/image-get", "get": {"name": "image"}}}))),
        ("image-get", "1.1", of("t", json!({"plan": {"id": "t/image-get", "get": {"name": "image"}}}))),
        ("initialize-check", "1.0", of("t/image-check", json!({"name": "image"}))),
        ("start", "1.0", of("t/image-check", json!({}))),
        ("finish", "1.0", of("t/image-check", json!({"succeeded": true}))),
        ("finish-get", "5.1", of("t/image-get", fetched.clone())),
        ("sub-get-var", "1.0", of("t", json!({"plan": {"id": "t/var", "get_var": {"name": "vault"}}}))),
        (
            "streaming-volume",
            "1.0",
            of("t", json!({"volume": "repo", "source_worker": "w1", "dest_worker": "w2"})),
        ),
        ("waiting-for-streamed-volume", "1.0", of("t", json!({"volume": "repo", "dest_worker": "w2"}))),
        ("selected-worker", "1.0", of("t", json!({"selected_worker": "w2"}))),
        ("start-task", "4.0", of("t", json!({}))),
        ("start-task", "5.0", of("t", json!({"config": config}))),
        ("log", "5.0", json!({"origin": {"id": "t", "source": "stdout"}, "payload": "hi\n"})),
        (
            "log",
            "5.1",
            json!({"time": 9, "origin": {"id": "t", "source": "stderr"}, "payload": "\u{1b}[1moh\r\n"}),
        ),
        ("log", "5.1", json!({"time": 9, "origin": {"id": "t"}, "payload": ""})),
        ("finish-task", "4.0", of("t", json!({"exit_status": 3}))),
        ("initialize-put", "1.0", json!({"origin": {"id": "p"}})),
        ("initialize-put", "2.0", of("p", json!({}))),
        ("start-put", "1.0", of("p", json!({}))),
        (
            "finish-put",
            "4.0",
            of("p", json!({"plan": {"name": "release"}, "exit_status": 0, "version": version})),
        ),
        ("finish-put", "5.1", of("p", fetched)),
        ("initialize", "1.0", of("s", json!({}))),
        ("start", "1.0", of("s", json!({}))),
        ("set-pipeline-changed", "1.0", json!({"origin": {"id": "s"}, "changed": true})),
        ("finish", "1.0", of("s", json!({"succeeded": true}))),
        ("start", "1.0", of("l", json!({}))),
        ("finish", "1.0", of("l", json!({"succeeded": false}))),
        ("start", "1.0", of("r", json!({}))),
        ("finish", "1.0", of("r", json!({"succeeded": true}))),
        ("start", "1.0", of("a", json!({}))),
        ("across-substeps", "1.0", of("a", json!({"substeps": substeps}))),
        ("start-task", "5.0", of("a/0", json!({"config": config}))),
        ("finish-task", "4.0", of("a/0", json!({"exit_status": 0}))),
        ("start-task", "5.0", of("y1", json!({"config": unknown_yet}))),
        ("error", "4.0", json!({"message": "old", "origin": {}})),
        ("error", "4.1", of("y1", json!({"message": "timeout exceeded"}))),
        ("start-task", "5.0", of("y2", json!({"config": unknown_yet}))),
        ("from-the-future", "1.0", of("y2", json!({"time": "later"}))),
        ("status", "1.0", json!({"status": "failed", "time": 9})),
    ];
    for (kind, version, data) in today {
        build.read(kind, version, &data);
    }
    insta::assert_snapshot!(build.table, @r#"
    status 1.0: status running (started)
    initialize-get 1.0: g `repo` preparing {"kind":"get"}
    initialize-get 2.0: g `repo` preparing {"kind":"get"}
    waiting-for-worker 1.0: g `repo` preparing {"detail":"waiting for a worker","kind":"get"}
    start-get 1.0: g `repo` started {"kind":"get"}
    selected-worker 1.0: g `repo` started {"detail":"on worker w1","kind":"get","worker":"w1"}
    finish-get 4.0: g `repo` finished 0 true {"kind":"get","version":{"ref":"abc"}}
    finish-get 5.0: g `repo` finished 0 true {"kind":"get","metadata":[{"name":"commit","value":"abc"}],"version":{"ref":"abc"}}
    finish-get 5.1: g `repo` finished 0 true {"kind":"get","metadata":[{"name":"commit","value":"abc"}],"version":{"ref":"abc"}}
    finish-get 5.1: g `repo` finished 1 false {"kind":"get"}
    initialize-task 4.0: t `unit` preparing {"kind":"task"}
    image-check 1.0: t `unit` preparing {"detail":"looking for its image","kind":"task"}
    image-check 1.1: t `unit` preparing {"detail":"looking for its image","kind":"task"}
    image-get 1.0: t `unit` preparing {"detail":"fetching its image","kind":"task"}
    image-get 1.1: t `unit` preparing {"detail":"fetching its image","kind":"task"}
    initialize-check 1.0: t/image-check `image of unit` preparing {"kind":"check"}
    start 1.0: t/image-check `image of unit` started {"kind":"check"}
    finish 1.0: t/image-check `image of unit` finished true {"kind":"check"}
    finish-get 5.1: t/image-get `image of unit` finished 0 true {"kind":"get","metadata":[{"name":"commit","value":"abc"}],"version":{"ref":"abc"}}
    sub-get-var 1.0: t `unit` preparing {"detail":"fetching a variable","kind":"task"}
    streaming-volume 1.0: t `unit` preparing {"detail":"streaming repo from worker w1","kind":"task"}
    waiting-for-streamed-volume 1.0: t `unit` preparing {"detail":"waiting for repo to be streamed","kind":"task"}
    selected-worker 1.0: t `unit` preparing {"detail":"on worker w2","kind":"task","worker":"w2"}
    start-task 4.0: t `unit` started {"kind":"task"}
    start-task 5.0: t `unit` started {"command":["make","test"],"image":"docker:///go","kind":"task"}
    log 5.0: log of t: "hi\n"
    log 5.1: log of t stderr: "\u{1b}[1moh\r\n"
    log 5.1: -
    finish-task 4.0: t `unit` finished 3 false {"kind":"task"}
    initialize-put 1.0: p `release` preparing {"kind":"put"}
    initialize-put 2.0: p `release` preparing {"kind":"put"}
    start-put 1.0: p `release` started {"kind":"put"}
    finish-put 4.0: p `release` finished 0 true {"kind":"put","version":{"ref":"abc"}}
    finish-put 5.1: p `release` finished 0 true {"kind":"put","metadata":[{"name":"commit","value":"abc"}],"version":{"ref":"abc"}}
    initialize 1.0: s `app` preparing {"kind":"set_pipeline"}
    start 1.0: s `app` started {"kind":"set_pipeline"}
    set-pipeline-changed 1.0: s `app` started {"changed":true,"detail":"the pipeline has changed","kind":"set_pipeline"}
    finish 1.0: s `app` finished true {"kind":"set_pipeline"}
    start 1.0: l `tag` started {"kind":"load_var"}
    finish 1.0: l `tag` finished false {"kind":"load_var"}
    start 1.0: r `greet` started {"kind":"run"}
    finish 1.0: r `greet` finished true {"kind":"run"}
    start 1.0: a `go` started {"kind":"across"}
    across-substeps 1.0: -
    start-task 5.0: a/0 `build (1.22)` started {"across":[{"name":"go","value":"1.22"}],"command":["make","test"],"image":"docker:///go","kind":"task"}
    finish-task 4.0: a/0 `build (1.22)` finished 0 true {"across":[{"name":"go","value":"1.22"}],"kind":"task"}
    start-task 5.0: y1 `flaky (attempt 1)` started {"attempt":1,"kind":"task"}
    error 4.0: error of -: old
    error 4.1: error of y1: timeout exceeded
    start-task 5.0: y1 `flaky (attempt 1)` finished false {"attempt":1,"kind":"task"} / y2 `flaky (attempt 2)` started {"attempt":2,"kind":"task"}
    from-the-future 1.0: -
    status 1.0: a `go` finished {"kind":"across"} / y2 `flaky (attempt 2)` finished {"attempt":2,"kind":"task"} / status failed (failed)
    "#);
}

#[test]
fn every_event_from_before_plans_becomes_something() {
    let mut build = Build::new(&json!({}));
    let v2 = |kind: &str| json!({"name": "repo", "type": kind, "source": "", "location": [1], "substep": false, "hook": ""});
    let v3 = |kind: &str, hook: &str| {
        let place = json!({"parent_id": 0, "id": 2, "parallel_group": 0, "serial_group": 0, "hook": hook});
        json!({"name": "repo", "type": kind, "source": "stderr", "location": place})
    };
    let config = json!({"platform": "linux", "image": "busybox", "run": {"path": "make", "args": []}});
    let (version, metadata) = (json!({"ref": "abc"}), json!([{"name": "author", "value": "Zoë"}]));
    let resource =
        json!({"name": "repo", "resource": "repo", "type": "git", "version": version, "metadata": metadata});
    let fetched = |origin: Value| {
        json!({"origin": origin, "plan": {"name": "repo", "resource": "repo", "type": "git"},
        "exit_status": 0, "version": version, "metadata": metadata})
    };
    let old = [
        ("input", "1.0", json!({"input": resource})),
        ("input", "2.0", json!({"plan": {"name": "repo"}, "version": version, "metadata": metadata})),
        ("initialize", "1.0", json!({"config": config})),
        ("start", "1.0", json!({"time": 9})),
        ("log", "1.0", json!({"origin": {"type": "run", "name": ""}, "payload": "hi\n"})),
        ("log", "1.0", json!({"origin": {"type": "input", "name": "repo"}, "payload": "hi\n"})),
        ("finish", "1.0", json!({"time": 9, "exit_status": 1})),
        ("output", "1.0", json!({"output": resource})),
        ("output", "2.0", json!({"plan": {"name": "repo", "on": ["success"]}, "version": version})),
        ("initialize-task", "1.0", json!({"config": config, "origin": v2("task")})),
        ("initialize-task", "2.0", json!({"config": config, "origin": v3("task", "")})),
        ("initialize-task", "3.0", json!({"config": config, "origin": v3("task", "failure")})),
        ("start-task", "1.0", json!({"time": 9, "origin": v2("task")})),
        ("start-task", "2.0", json!({"time": 9, "origin": v3("task", "")})),
        ("start-task", "3.0", json!({"time": 9, "origin": v3("task", "failure")})),
        ("log", "2.0", json!({"origin": v2("task"), "payload": "hi\n"})),
        ("log", "3.0", json!({"origin": v3("task", ""), "payload": "hi\n"})),
        ("log", "4.0", json!({"origin": v3("task", "failure"), "payload": "hi\n"})),
        ("error", "1.0", json!({"message": "no", "origin": v2("task")})),
        ("error", "2.0", json!({"message": "no", "origin": v3("task", "")})),
        ("error", "3.0", json!({"message": "no", "origin": v3("task", "failure")})),
        ("finish-task", "1.0", json!({"time": 9, "exit_status": 0, "origin": v2("task")})),
        ("finish-task", "2.0", json!({"time": 9, "exit_status": 0, "origin": v3("task", "")})),
        ("finish-task", "3.0", json!({"time": 9, "exit_status": 0, "origin": v3("task", "failure")})),
        ("finish-get", "1.0", fetched(v2("get"))),
        ("finish-get", "2.0", fetched(v3("get", ""))),
        ("finish-get", "3.0", fetched(v3("get", ""))),
        ("finish-put", "1.0", fetched(v2("put"))),
        ("finish-put", "2.0", fetched(v3("put", ""))),
        ("finish-put", "3.0", fetched(v3("put", ""))),
        ("status", "1.0", json!({"status": "succeeded", "time": 9})),
    ];
    for (kind, version, data) in old {
        build.read(kind, version, &data);
    }
    insta::assert_snapshot!(build.table, @r#"
    input 1.0: get/repo `repo` finished true {"kind":"get","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    input 2.0: get/repo `repo` finished true {"kind":"get","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    initialize 1.0: run `run` preparing {"command":["make"],"image":"busybox","kind":"task"}
    start 1.0: run `run` started {"kind":"task"}
    log 1.0: log of run: "hi\n"
    log 1.0: log of get/repo: "hi\n"
    finish 1.0: run `run` finished 1 false {"kind":"task"}
    output 1.0: put/repo `repo` finished true {"kind":"put","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    output 2.0: put/repo `repo` finished true {"kind":"put","version":{"ref":"abc"}}
    initialize-task 1.0: task/repo@1 `repo` preparing {"command":["make"],"image":"busybox","kind":"task"}
    initialize-task 2.0: task/repo@0.2 `repo` preparing {"command":["make"],"image":"busybox","kind":"task"}
    initialize-task 3.0: task/repo@0.2/failure `repo` preparing {"command":["make"],"image":"busybox","kind":"task"}
    start-task 1.0: task/repo@1 `repo` started {"kind":"task"}
    start-task 2.0: task/repo@0.2 `repo` started {"kind":"task"}
    start-task 3.0: task/repo@0.2/failure `repo` started {"kind":"task"}
    log 2.0: log of task/repo@1: "hi\n"
    log 3.0: log of task/repo@0.2 stderr: "hi\n"
    log 4.0: log of task/repo@0.2/failure stderr: "hi\n"
    error 1.0: error of task/repo@1: no
    error 2.0: error of task/repo@0.2: no
    error 3.0: error of task/repo@0.2/failure: no
    finish-task 1.0: task/repo@0.2 `repo` finished false {"kind":"task"} / task/repo@0.2/failure `repo` finished false {"kind":"task"} / task/repo@1 `repo` finished 0 true {"kind":"task"}
    finish-task 2.0: task/repo@0.2 `repo` finished 0 true {"kind":"task"}
    finish-task 3.0: task/repo@0.2/failure `repo` finished 0 true {"kind":"task"}
    finish-get 1.0: get/repo@1 `repo` finished 0 true {"kind":"get","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    finish-get 2.0: get/repo@0.2 `repo` finished 0 true {"kind":"get","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    finish-get 3.0: get/repo@0.2 `repo` finished 0 true {"kind":"get","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    finish-put 1.0: put/repo@1 `repo` finished 0 true {"kind":"put","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    finish-put 2.0: put/repo@0.2 `repo` finished 0 true {"kind":"put","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    finish-put 3.0: put/repo@0.2 `repo` finished 0 true {"kind":"put","metadata":[{"name":"author","value":"Zoë"}],"version":{"ref":"abc"}}
    status 1.0: status succeeded (succeeded)
    "#);
}

#[test]
fn numbers_of_events_are_text_or_numbers_or_absent() {
    let number = |json: &str| envelope(json.as_bytes()).map(|envelope| envelope.number);
    assert_eq!(number(r#"{"event":"log","event_id":"18446744073709551615"}"#), Some(Some(u64::MAX)));
    assert_eq!(number(r#"{"event":"log","event_id":7}"#), Some(Some(7)));
    assert_eq!(number(r#"{"event":"log"}"#), Some(None));
    assert_eq!(number(r#"{"event":"log","event_id":"x"}"#), Some(None));
    assert_eq!(number("not JSON"), None);
}

#[test]
fn times_that_say_nothing_are_left_out() {
    let of = |data: Value| {
        let json = json!({"data": data, "event": "error"}).to_string();
        EventReader::default().read("error", json.as_bytes()).pop().unwrap().time
    };
    assert_eq!(of(json!({"message": "m", "time": 9})), Timestamp::from_second(9).ok());
    assert_eq!(of(json!({"message": "m", "time": 0})), None);
    assert_eq!(of(json!({"message": "m"})), None);
}

#[test]
fn a_member_of_another_form_takes_nothing_with_it() {
    let mut build = Build::new(&json!({}));
    let data = json!({"origin": {"id": "t"}, "time": "later", "exit_status": 2, "version": 7,
        "metadata": [{"name": "n", "value": 8}], "config": [], "selected_worker": {}});
    build.read("finish-task", "9.0", &data);
    assert_eq!(build.read("start-task", "9.0", &json!(["not", "an", "object"])), []);
    assert_eq!(build.read("start-task", "9.0", &json!({"origin": 7})), []);
    assert_eq!(build.reader.read("log", b"not JSON"), []);
    insta::assert_snapshot!(build.table, @r#"
    finish-task 9.0: t `-` finished 2 false {"metadata":[{"name":"n","value":""}]}
    start-task 9.0: -
    start-task 9.0: -
    "#);
}

#[test]
fn what_is_open_ends_with_the_build() {
    let mut build = Build::new(&json!({"id": "t", "task": {"name": "unit"}}));
    build.read("start-task", "5.0", &of("t", json!({})));
    build.read("error", "4.1", &of("t", json!({"message": "interrupted"})));
    let told = build.read("status", "1.0", &json!({"status": "aborted", "time": 9}));
    let finished = StepPhase::Finished { exit_status: None, succeeded: Some(false) };
    assert!(matches!(&told[0], RunEventBody::Step { phase, .. } if *phase == finished), "{told:?}");
    assert!(matches!(&told[1], RunEventBody::Status { status: RunStatus::Cancelled, .. }), "{told:?}");
    // By force a build ends while its hooks still run.
    build.read("start-task", "5.0", &of("h", json!({})));
    assert_eq!(build.reader.end().iter().map(short).collect::<Vec<_>>(), ["h `-` finished"]);
}
