//! Reading a file line by line while another process writes to it.

use std::{
    fs::File,
    io::{self, Read},
    mem,
    path::Path,
};

/// The rest of a longer line is dropped: it would only fill the memory.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

/// As much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// A file that grows.
pub(super) struct Lines {
    file: File,
    buffer: Box<[u8]>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    longest: usize,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let buffer = vec![0; READ_SIZE].into_boxed_slice();
        Ok(Self { file: File::open(path)?, buffer, begun: Vec::new(), longest: LONGEST_LINE })
    }

    /// Takes what was written since the last call, as far as there are whole lines.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(&str)) -> io::Result<()> {
        loop {
            let read = self.file.read(&mut self.buffer)?;
            if read == 0 {
                return Ok(());
            }
            let mut rest = &self.buffer[..read];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                append(&mut self.begun, &rest[..end], self.longest);
                take(&String::from_utf8_lossy(&mem::take(&mut self.begun)));
                rest = &rest[end + 1..];
            }
            append(&mut self.begun, rest, self.longest);
        }
    }

    /// Takes everything that is left, also a last line without an end.
    pub(super) fn finish(mut self, take: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.read(take)?;
        if !self.begun.is_empty() {
            take(&String::from_utf8_lossy(&self.begun));
        }
        Ok(())
    }
}

fn append(line: &mut Vec<u8>, bytes: &[u8], longest: usize) {
    let room = longest.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(lines: &mut Lines) -> Vec<String> {
        let mut taken = Vec::new();
        lines.read(&mut |line| taken.push(line.to_owned())).unwrap();
        taken
    }

    #[test]
    fn a_line_is_taken_when_its_end_is_written() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        assert!(read(&mut lines).is_empty());
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(read(&mut lines), ["one"]);
        file.write_all(b"o\n\nthree").unwrap();
        assert_eq!(read(&mut lines), ["two", ""]);
        let mut taken = Vec::new();
        lines.finish(&mut |line| taken.push(line.to_owned())).unwrap();
        assert_eq!(taken, ["three"]);
    }

    #[test]
    fn the_rest_of_an_endless_line_is_dropped() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789\nnext\n").unwrap();
        let mut lines = Lines { longest: 8, ..Lines::open(file.path()).unwrap() };
        assert_eq!(read(&mut lines), ["01234567", "next"]);
    }
}
