//! Ends in order, and starts that are refused.

use crate::support::{
    Key, Resume,
    binary::{self, Binary, nothing_is_left, processes, spawn_on},
};

#[tokio::test]
async fn ctrl_c_ends_the_program_and_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let binary = Binary::start(directory).await;
    let platform = binary.client(&Key::PLATFORM);
    platform
        .put_script("polite", "trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
        .await;
    let run = platform.trigger("polite").await;
    let mut reader = platform.events(&run, Resume::Start).await;
    let mut seen = reader.take(1).await;
    while !crate::support::events::text(&seen).contains("ready") {
        seen.push(reader.next().await.unwrap());
    }
    assert!(processes(directory).len() >= 3, "the program, its watcher and a command run");
    let (ended, rest) = tokio::join!(binary.interrupt(), reader.rest());
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("Stopping."), "{ended:?}");
    // Whoever was watching saw how it ended.
    seen.extend(rest);
    assert!(seen.last().unwrap().is_end(), "{seen:?}");
    nothing_is_left(directory).await;

    let binary = Binary::start(directory).await;
    let platform = binary.client(&Key::PLATFORM);
    let run = platform.run(&run).await;
    assert_eq!((&run["status"], &run["reason"]["code"]), (&"errored".into(), &"interrupted".into()));
    // The shell may say before that the `sleep` under it was terminated.
    let log = platform.log(run["run_id"].as_str().unwrap()).await;
    assert!(log.lines().any(|line| line == "cleaned"), "{log}");
    assert_eq!(binary.interrupt().await.status.code(), Some(0));
    nothing_is_left(directory).await;
}

#[tokio::test]
async fn a_second_stack_in_the_same_place_is_refused_in_words() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let binary = Binary::start(first.path()).await;
    let same_data = binary::ended(spawn_on(second.path(), first.path(), 0)).await;
    assert_eq!(same_data.status.code(), Some(1), "{same_data:?}");
    assert!(same_data.stderr.contains("another local stack uses this data directory"), "{same_data:?}");
    let same_port = binary::ended(spawn_on(second.path(), second.path(), binary.address().port())).await;
    assert_eq!(same_port.status.code(), Some(1), "{same_port:?}");
    let told = format!("{} cannot be listened on; choose another port with --port", binary.address());
    assert!(same_port.stderr.contains(&told), "{same_port:?}");
    nothing_is_left(second.path()).await;
    // The first one goes on.
    let platform = binary.client(&Key::PLATFORM);
    let run = platform.trigger("hello").await;
    assert_eq!(platform.ended(&run).await["status"], "succeeded");
    binary.kill().await;
}

#[tokio::test]
async fn a_seed_that_cannot_be_read_is_told_and_can_be_mended() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let seed = directory.join("seed.yaml");
    for (text, told) in [
        ("api_keys: [", "seed.yaml"),
        ("api_keys: []\ntenant: Bad!\njobs: []\n", "tenant"),
        ("api_keys: []\ntenant: example\njobs: []\ncolour: red\n", "colour"),
        (
            "api_keys: [{key: long-enough-key, name: n, tenants: '*', scopes: [everything]}]\ntenant: a\njobs: []\n",
            "`everything` is not a scope",
        ),
        (
            "api_keys: [{key: long-enough-key, name: n, tenants: '*', scopes: ['*']}]\ntenant: a\njobs: [{}]\n",
            "the jobs were refused",
        ),
    ] {
        std::fs::write(&seed, text).unwrap();
        let process = tokio::process::Command::new(crate::support::stack::PROGRAM)
            .args(["--port", "0", "--data-dir"])
            .arg(directory.join("data"))
            .arg("--seed")
            .arg(&seed)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ended = binary::ended(process).await;
        assert_eq!(ended.status.code(), Some(1), "{text}: {ended:?}");
        assert!(ended.stderr.contains(told), "{text}: {ended:?} does not say {told:?}");
    }
    let binary = Binary::start(directory).await;
    binary.client(&Key::EXAMPLE).get("/v1/jobs/hello").await.expect(200);
    binary.kill().await;
}
