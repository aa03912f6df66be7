//! Which media types the API treats as binary.

/// Whether a `Content-Type`, or the first type of an `Accept`, is one of the API's binary types.
///
/// Only `*/*` is a wildcard, as on AWS.
pub fn matches(binary: &[String], header: &str) -> bool {
    let first = header.split([',', ';']).next().unwrap_or_default().trim();
    binary.iter().any(|kind| kind == "*/*" || kind.eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_type_counts_and_only_one_wildcard_exists() {
        let binary = vec!["image/png".to_owned()];
        assert!(matches(&binary, "image/PNG; q=1"));
        assert!(matches(&binary, "image/png, text/html"));
        assert!(!matches(&binary, "text/html, image/png"));
        assert!(!matches(&["image/*".to_owned()], "image/png"));
        assert!(matches(&["*/*".to_owned()], "text/plain"));
    }
}
