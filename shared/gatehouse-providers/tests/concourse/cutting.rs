//! No event is lost and none repeated, wherever a stream is cut.

use std::sync::Arc;

use futures_util::StreamExt;
use gatehouse_domain::ci::{BuildId, CiProvider, RunEvent, RunEventBody};
use gatehouse_providers::concourse::ConcourseProvider;
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Route, Script, Version};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::support::{Bench, concourse, deploy, number, trigger, watch, within_patience};

/// Twins of every version, and of one whose numbers of events leave gaps.
fn scripts() -> impl Iterator<Item = (Version, Script)> {
    let versions = Version::ALL.into_iter().map(|version| (version, Script::chunky()));
    versions.chain([(Version::V7_14, Script::chunky().event_id_step(3))])
}

struct Cut {
    bench: Bench,
    build: BuildId,
    provider: Arc<ConcourseProvider>,
    /// Everything, as an uncut stream tells it.
    all: Vec<RunEvent>,
}

async fn prepare(version: Version, script: Script) -> Cut {
    let bench = Bench::new(concourse(script).version(version)).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    let all = watch(&provider, &build, None).await.unwrap();
    assert!(all.len() > 15, "{all:?}");
    Cut { bench, build, provider, all }
}

#[tokio::test]
async fn cutting_after_any_record_loses_and_repeats_nothing() {
    for (version, script) in scripts() {
        let Cut { bench, build, provider, all } = prepare(version, script).await;
        let records = bench.twin.build(number(&build)).unwrap().events;
        for after in 0..=records + 1 {
            bench.twin.fault(Fault::on(Route::Events).cut_after_events(after));
            let events = watch(&provider, &build, None).await.unwrap();
            assert_eq!(events, all, "{version}, cut after {after} records");
            bench.twin.clear_faults();
        }
    }
}

#[tokio::test]
async fn cutting_at_odd_bytes_loses_and_repeats_nothing() {
    for (version, script) in scripts() {
        let Cut { bench, build, provider, all } = prepare(version, script).await;
        // Steps that share no factor with the length of records reach every place in them, and every
        // second stream is cut once more on the way.
        for (turn, byte) in (1..4500).step_by(37).enumerate() {
            bench.twin.fault(Fault::on(Route::Events).cut_at_byte(byte).times(1 + turn % 2));
            let events = watch(&provider, &build, None).await.unwrap();
            assert_eq!(events, all, "{version}, cut at byte {byte}");
            bench.twin.clear_faults();
        }
    }
}

#[tokio::test]
async fn a_reader_can_go_on_from_every_event() {
    for (version, script) in scripts() {
        let Cut { bench: _bench, build, provider, all } = prepare(version, script).await;
        for (index, event) in all.iter().enumerate().take(all.len() - 1) {
            let position = event.position.as_ref().expect("every event of a log has a position");
            let rest = watch(&provider, &build, Some(position)).await.unwrap();
            assert_eq!(rest, all[index + 1..], "{version}, resumed behind {event:?}");
        }
    }
}

#[tokio::test]
async fn a_build_that_runs_is_followed_across_cuts() {
    for version in Version::ALL {
        let script = (0..20).fold(Script::new(), |script, turn| {
            script.task("unit", |task| task.log(&format!("line {turn}\r\n")).wait_for_release())
        });
        let bench = Bench::new(concourse(script).version(version)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        let mut events = provider.clone().events(deploy(), build.clone(), None);
        let mut seen = Vec::new();
        while let Some(event) = within_patience(events.next()).await {
            let event = event.unwrap();
            if let RunEventBody::Log { text, .. } = &event.body {
                seen.push(text.clone());
                bench.twin.cut_streams();
                bench.twin.release(number(&build));
            }
        }
        let expected: Vec<_> = (0..20).map(|turn| format!("line {turn}\r\n")).collect();
        assert_eq!(seen, expected, "{version}");
    }
}

/// A proxy before `twin` that loses the header with which streams are resumed. Returns its URL.
async fn forgetful_proxy(twin: &ConcourseTwin) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = twin.url().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A connection that ends early is one that was cut.
            tokio::spawn(pass_forgetting(client, upstream.clone()));
        }
    });
    url
}

async fn pass_forgetting(client: TcpStream, upstream: String) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut server = TcpStream::connect(upstream).await?;
    let mut line = String::new();
    while client.read_line(&mut line).await? > 2 {
        if !line.starts_with("last-event-id:") {
            server.write_all(line.as_bytes()).await?;
        }
        line.clear();
    }
    // One request for each connection: the head of a second one would pass unread.
    server.write_all(b"connection: close\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[tokio::test]
async fn events_that_come_again_are_told_once() {
    for version in [Version::V7_4, Version::V8_3] {
        let Cut { mut bench, build, all, .. } = prepare(version, Script::chunky()).await;
        bench.settings.url = Some(forgetful_proxy(&bench.twin).await);
        let provider = bench.provider();
        for after in [1, 7, 20] {
            bench.twin.fault(Fault::on(Route::Events).cut_after_events(after));
            assert_eq!(watch(&provider, &build, None).await.unwrap(), all, "{version}, cut after {after}");
        }
        let resumed = watch(&provider, &build, all[3].position.as_ref()).await.unwrap();
        assert_eq!(resumed, all[4..]);
    }
}
