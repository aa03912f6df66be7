//! Every kept input, in the tests of every build: seeds, and what once broke something.

use std::path::{Path, PathBuf};

use gatehouse_fuzz::TARGETS;

/// The most that a kept input may measure, in bytes, so that it can be reviewed.
const LONGEST: u64 = 8 * 1024;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn what_is_kept_holds() {
    for target in TARGETS {
        let kept =
            std::fs::read_dir(corpus(target.name)).unwrap_or_else(|error| panic!("{}: {error}", target.name));
        let mut count = 0;
        for file in kept.map(|file| file.expect("a file").path()) {
            let input = std::fs::read(&file).expect("it can be read");
            eprintln!("{}", file.display());
            (target.check)(&input);
            count += 1;
        }
        assert!(count > 0, "{} has no seed", target.name);
    }
}

#[test]
fn a_folder_of_the_corpus_is_that_of_a_target() {
    for folder in std::fs::read_dir(corpus("")).expect("a corpus") {
        let folder = folder.expect("a folder");
        let name = folder.file_name().into_string().expect("text");
        assert!(gatehouse_fuzz::target(&name).is_some(), "nobody reads {name}");
        for file in std::fs::read_dir(folder.path()).expect("a folder") {
            let file = file.expect("a file");
            let length = file.metadata().expect("a file").len();
            assert!(length <= LONGEST, "{} is too long to be reviewed", file.path().display());
        }
    }
}
