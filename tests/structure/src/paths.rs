//! A path as it is written in the source, with the line where it begins.

/// `crate::runs::Run` is the three segments `crate`, `runs` and `Run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePath {
    pub segments: Vec<String>,
    pub line: usize,
}

impl SourcePath {
    pub fn text(&self) -> String {
        self.segments.join("::")
    }
}
