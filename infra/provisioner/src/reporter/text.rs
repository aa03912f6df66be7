//! Texts that are cut to what Gatehouse takes.

/// A line of a log is cut to so many bytes.
pub(super) const LINE_LIMIT: usize = 1000;

/// The first `limit` bytes of the text, or a little less: no character is cut in two.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(limit - MARK.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("äääää", 8), "ää…");
        assert_eq!(cut(&"ä".repeat(1000), 1000).len(), 1 + 1000 - 2);
    }
}
