//! The services that the functions reach over loopback, as they reach AWS.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context;
use gatehouse_dynamodb::DynamoDb;
use gatehouse_runtime::clock::{SystemClock, SystemIds};
use gatehouse_template::Template;
use tokio::sync::watch;

use super::{account::account, stop::stopped, table};
use crate::{
    aws::json::RunningService,
    secrets_manager::SecretsManager,
    step_functions::{RunningStepFunctions, StateMachine, StepFunctions},
};

pub(super) struct Services {
    pub dynamodb: DynamoDb,
    pub dynamodb_client: aws_sdk_dynamodb::Client,
    pub secrets: RunningService,
    /// What runs the executions, once it is given somebody to do their tasks.
    pub engine: StepFunctions,
    pub step_functions: RunningStepFunctions,
}

impl Services {
    /// Starts them over what is kept in `data`.
    pub async fn start(
        data: &Path,
        template: &Template,
        machines: Vec<StateMachine>,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let shape = template.tables.first().context("template.yaml has no table")?;
        let (dynamodb, dynamodb_client) = table::open(data, shape).await?;
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let file = data.join("secrets.json");
        let secrets = SecretsManager::open(file, &account(), clock.clone(), ids.clone())?;
        let secrets = secrets.serve(loopback(), stopped(stop.clone())).await?;
        let engine = StepFunctions::open(data, &account(), machines, clock, ids)?;
        let step_functions = engine.clone().serve(loopback(), stopped(stop.clone())).await?;
        Ok(Self { dynamodb, dynamodb_client, secrets, engine, step_functions })
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn first_line(endpoint: &str, headers: &str) -> String {
        let address = endpoint.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("POST / HTTP/1.1\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn no_service_answers_another_name_or_a_page_of_another_site() {
        let directory = tempfile::tempdir().unwrap();
        let template = Template::parse(super::super::TEMPLATE, &BTreeMap::new()).unwrap();
        let (stopping, stop) = watch::channel(false);
        let services = Services::start(directory.path(), &template, Vec::new(), &stop).await.unwrap();
        let endpoints = [
            services.dynamodb.endpoint_url(),
            services.secrets.endpoint_url(),
            services.step_functions.endpoint_url(),
        ];
        for endpoint in &endpoints {
            let ask = async |headers: &str| first_line(endpoint, headers).await;
            // No operation is named, so what is answered is refused, but otherwise.
            assert!(ask("host: localhost\r\n").await.starts_with("HTTP/1.1 400 "), "{endpoint}");
            assert!(ask("host: evil.example\r\n").await.starts_with("HTTP/1.1 421 "), "{endpoint}");
            for page in ["origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site"] {
                let line = ask(&format!("host: localhost\r\n{page}\r\n")).await;
                assert!(line.starts_with("HTTP/1.1 403 "), "{endpoint} {page}: {line}");
            }
        }
        stopping.send_replace(true);
        services.step_functions.finished().await;
        services.secrets.finished().await;
        services.dynamodb.stop().await;
    }
}
