//! Where state and artifacts are kept: a directory, or a bucket with a prefix.

use std::{path::PathBuf, str::FromStr};

use url::Url;

/// A place for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///directory`.
    Directory(PathBuf),
    /// `s3://bucket` or `s3://bucket/prefix`.
    Bucket {
        bucket: String,
        /// What keys begin with: empty, or text without a slash at either end.
        prefix: String,
    },
}

/// The text names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be s3://bucket, s3://bucket/prefix or file:///directory")]
pub struct LocationError;

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let url: Url = text.parse().map_err(|_| LocationError)?;
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(LocationError);
        }
        match (url.scheme(), url.host_str()) {
            ("file", None) => url.to_file_path().map(Self::Directory).map_err(|()| LocationError),
            ("s3", Some(bucket)) if !bucket.is_empty() && url.username().is_empty() => {
                let prefix = url.path().trim_matches('/').to_owned();
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix })
            }
            _ => Err(LocationError),
        }
    }
}

/// The key of `name` below `prefix`.
pub(crate) fn key_below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bucket: &str, prefix: &str) -> Location {
        Location::Bucket { bucket: bucket.into(), prefix: prefix.into() }
    }

    #[test]
    fn buckets_have_an_optional_prefix() {
        assert_eq!("s3://state-bucket".parse(), Ok(bucket("state-bucket", "")));
        assert_eq!("s3://state-bucket/".parse(), Ok(bucket("state-bucket", "")));
        assert_eq!("s3://state-bucket/dev/plans/".parse(), Ok(bucket("state-bucket", "dev/plans")));
    }

    #[test]
    fn directories_are_absolute() {
        assert_eq!("file:///var/lib/state".parse(), Ok(Location::Directory("/var/lib/state".into())));
        assert_eq!("file:///with%20space".parse(), Ok(Location::Directory("/with space".into())));
    }

    #[test]
    fn anything_else_is_no_place() {
        for bad in [
            "",
            "state",
            "/var/lib/state",
            "file://host/x",
            "s3://",
            "s3:///prefix",
            "s3://key:secret@bucket/",
            "s3://bucket?region=x",
            "s3://bucket#x",
            "gs://bucket",
            "https://bucket.s3.amazonaws.com",
        ] {
            assert_eq!(bad.parse::<Location>(), Err(LocationError), "{bad}");
        }
    }

    #[test]
    fn keys_are_below_the_prefix() {
        assert_eq!(key_below("", "plans/x"), "plans/x");
        assert_eq!(key_below("dev", "plans/x"), "dev/plans/x");
    }
}
