//! A function that breaks its streamed answers: once with error trailers, as the Runtime API wants them, then
//! without an end. It speaks the protocol by hand, because the Rust runtime does neither.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

const PRELUDE: &str = "{\"statusCode\":200}\0\0\0\0\0\0\0\0";

fn main() -> std::io::Result<()> {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("Lambda sets the address of its API");
    for end in [
        "0\r\nLambda-Runtime-Function-Error-Type: Runtime.Broken\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n",
        "4\r\nha",
    ] {
        let mut stream = TcpStream::connect(&address)?;
        write!(
            stream,
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let id = lines.iter().find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "));
        let id = id.expect("every event has an id");

        let mut stream = TcpStream::connect(&address)?;
        write!(
            stream,
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {address}\r\n\
             lambda-runtime-function-response-mode: streaming\r\ntransfer-encoding: chunked\r\n\
             content-type: application/vnd.awslambda.http-integration-response\r\n\
             trailer: Lambda-Runtime-Function-Error-Type\r\ntrailer: Lambda-Runtime-Function-Error-Body\r\n\r\n\
             {:x}\r\n{PRELUDE}\r\n4\r\nhalf\r\n{end}",
            PRELUDE.len(),
        )?;
        if end.starts_with('0') {
            // The answer to the answer.
            BufReader::new(&stream).read_line(&mut String::new())?;
        }
    }
    Ok(())
}
