//! A stub of the AWS Lambda Runtime API that runs a function's binary as Lambda does, feeds it events and
//! takes its answers, streamed ones chunk by chunk.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//!
//! use futures_util::StreamExt;
//! use gatehouse_testkit::runtime_api::FunctionProcess;
//!
//! let mut function = FunctionProcess::spawn("target/lambda/streams/bootstrap", &[("GATEHOUSE_TABLE", "t")]).await?;
//! let answer = function.invoke(r#"{"path":"/services/svc_1/actions/status"}"#, Duration::from_secs(29)).await?;
//! println!("{} bytes for {:?} of CPU", answer.body.len(), answer.cpu);
//!
//! let mut answer = function.invoke_streaming(r#"{"path":"/v1/runs/1/events"}"#, Duration::from_secs(29)).await?;
//! while let Some(chunk) = answer.chunks.next().await {
//!     println!("{:?}", chunk?.bytes);
//! }
//! # Ok(()) }
//! ```

mod error;
mod life;
mod measure;
mod process;
mod server;
mod source;
mod streaming;

pub use error::FunctionError;
pub use process::{FunctionProcess, Invocation, Startup};
pub use streaming::{Chunk, Chunks, StreamingInvocation};
