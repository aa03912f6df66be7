//! Looks for secrets in what the tests logged: `secrets_in_logs DIRECTORY`, which `GATEHOUSE_TEST_LOG` named for them.
//!
//! Fails where a line shows one, and where nothing shows that anybody looked: the one line that shows a secret on purpose
//! has to be there.

use std::{
    fs::{File, read_dir},
    io::{BufRead, BufReader},
    process::ExitCode,
};

use anyhow::Context;
use gatehouse_testkit::log::{PROBE, secret_in};

fn main() -> anyhow::Result<ExitCode> {
    let directory = std::env::args().nth(1).context("say which directory")?;
    let (mut files, mut lines, mut probed, mut shown) = (0, 0_u64, false, 0);
    for file in read_dir(&directory).with_context(|| format!("{directory} cannot be read"))? {
        let path = file?.path();
        files += 1;
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            lines += 1;
            match secret_in(&line) {
                Some(_) if line.contains(PROBE) => probed = true,
                Some(secret) => {
                    shown += 1;
                    println!("{}: {secret}: {line}", path.display());
                }
                None => {}
            }
        }
    }
    println!("{lines} lines of {files} logs: {shown} show a secret");
    if !probed {
        println!("the line that shows one on purpose is missing: did the tests log into {directory}?");
    }
    Ok(if shown == 0 && probed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
