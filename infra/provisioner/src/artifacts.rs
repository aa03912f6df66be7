//! What is kept between the phases of an operation, and between operations: plan files and modules.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    num::NonZeroU32,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use object_store::{
    ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, local::LocalFileSystem, path::Path as Key,
};

use crate::{
    location::{Location, key_below},
    module::PackedModule,
};

/// Where plan files and modules are kept. The bucket forgets plans by itself.
pub(crate) struct Artifacts {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

/// Why a plan could not be kept or fetched.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is no plan, or it is too old to be kept.
    #[error(
        "the plan of {operation_id} is not there: it was never made, was applied already, or has expired"
    )]
    NoPlan { operation_id: String },
    /// A module is not what was kept.
    #[error("the module that was kept is damaged: its content is not that of its hash")]
    Damaged,
    /// The store is not usable. Its errors print their causes themselves, so it is no source.
    #[error("the store of plan files cannot be used: {0}")]
    Store(object_store::Error),
    /// A local file is not.
    #[error("a plan file cannot be read or written")]
    File(#[from] io::Error),
}

impl From<object_store::Error> for ArtifactError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl Artifacts {
    /// Opens the store. A directory is created where it is missing.
    pub(crate) fn open(location: &Location, region: Option<&str>) -> Result<Self, ArtifactError> {
        match location {
            Location::Directory(directory) => {
                DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
                let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
                Ok(Self { store: Arc::new(store), prefix: String::new() })
            }
            Location::Bucket { bucket, prefix } => {
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                Ok(Self { store: Arc::new(builder.build()?), prefix: prefix.clone() })
            }
        }
    }

    /// Keeps the plan that an attempt made, and beside it which providers it was made with, where there are
    /// any. Each attempt has its own place, so one that comes too late replaces nobody's.
    pub(crate) async fn keep(
        &self,
        operation_id: &str,
        attempt: NonZeroU32,
        plan: &Path,
        lock: &Path,
    ) -> Result<(), ArtifactError> {
        if lock.exists() {
            self.store.put(&self.lock_key(operation_id, attempt), fs::read(lock)?.into()).await?;
        }
        self.store.put(&self.plan_key(operation_id, attempt), fs::read(plan)?.into()).await?;
        Ok(())
    }

    /// Fetches what the last attempt before `attempt` kept: Gatehouse takes a plan of no earlier one.
    pub(crate) async fn fetch(
        &self,
        operation_id: &str,
        attempt: NonZeroU32,
        plan: &Path,
        lock: &Path,
    ) -> Result<(), ArtifactError> {
        for earlier in before(attempt).rev() {
            if self.fetch_one(&self.plan_key(operation_id, earlier), plan).await? {
                self.fetch_one(&self.lock_key(operation_id, earlier), lock).await?;
                return Ok(());
            }
        }
        Err(ArtifactError::NoPlan { operation_id: operation_id.to_owned() })
    }

    /// Forgets what was kept before `attempt`: a plan can be applied once, and holds secrets.
    pub(crate) async fn forget(&self, operation_id: &str, attempt: NonZeroU32) -> Result<(), ArtifactError> {
        for earlier in before(attempt) {
            for key in [self.plan_key(operation_id, earlier), self.lock_key(operation_id, earlier)] {
                match self.store.delete(&key).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Keeps a module under the hash of its content, for as long as anything may have been made with it.
    pub(crate) async fn keep_module(&self, packed: &PackedModule) -> Result<(), ArtifactError> {
        self.store.put(&self.module_key(packed.digest()), packed.bytes().to_vec().into()).await?;
        Ok(())
    }

    /// The module that was kept under this hash; `None` where it is gone.
    pub(crate) async fn fetch_module(&self, digest: &str) -> Result<Option<PackedModule>, ArtifactError> {
        let bytes = match self.store.get(&self.module_key(digest)).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let packed = PackedModule::of(bytes.to_vec());
        if packed.digest() == digest { Ok(Some(packed)) } else { Err(ArtifactError::Damaged) }
    }

    /// Whether it was there.
    async fn fetch_one(&self, key: &Key, target: &Path) -> Result<bool, ArtifactError> {
        let bytes = match self.store.get(key).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(target)?;
        file.write_all(&bytes)?;
        Ok(true)
    }

    fn plan_key(&self, operation_id: &str, attempt: NonZeroU32) -> Key {
        key_below(&self.prefix, &format!("plans/{operation_id}-{attempt}.tfplan")).into()
    }

    fn module_key(&self, digest: &str) -> Key {
        key_below(&self.prefix, &format!("modules/{digest}.json")).into()
    }

    fn lock_key(&self, operation_id: &str, attempt: NonZeroU32) -> Key {
        key_below(&self.prefix, &format!("plans/{operation_id}-{attempt}.lock.hcl")).into()
    }
}

/// The attempts before this one; an operation has some.
fn before(attempt: NonZeroU32) -> impl DoubleEndedIterator<Item = NonZeroU32> {
    (1..attempt.get()).filter_map(NonZeroU32::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(attempt: u32) -> NonZeroU32 {
        NonZeroU32::new(attempt).unwrap()
    }

    #[tokio::test]
    async fn a_plan_is_kept_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        fs::write(file("plan"), "the plan").unwrap();
        fs::write(file("lock"), "the lock").unwrap();
        let artifacts = Artifacts::open(&Location::Directory(file("kept")), None).unwrap();
        artifacts.keep("op_1", number(1), &file("plan"), &file("lock")).await.unwrap();
        assert!(file("kept/plans/op_1-1.tfplan").exists());
        artifacts.fetch("op_1", number(3), &file("plan2"), &file("lock2")).await.unwrap();
        assert_eq!(fs::read_to_string(file("plan2")).unwrap(), "the plan");
        assert_eq!(fs::read_to_string(file("lock2")).unwrap(), "the lock");
        artifacts.forget("op_1", number(3)).await.unwrap();
        artifacts.forget("op_1", number(3)).await.unwrap();
        let error = artifacts.fetch("op_1", number(3), &file("plan3"), &file("lock3")).await.unwrap_err();
        assert!(error.to_string().starts_with("the plan of op_1 is not there"), "{error}");
        assert!(!file("plan3").exists());
    }

    #[tokio::test]
    async fn a_plan_that_comes_too_late_is_not_applied() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let artifacts = Artifacts::open(&Location::Directory(file("kept")), None).unwrap();
        for (attempt, text) in [(2, "of the second"), (1, "of the first, late")] {
            fs::write(file("plan"), text).unwrap();
            artifacts.keep("op_1", number(attempt), &file("plan"), &file("lock")).await.unwrap();
        }
        artifacts.fetch("op_1", number(3), &file("fetched"), &file("lock")).await.unwrap();
        assert_eq!(fs::read_to_string(file("fetched")).unwrap(), "of the second");
    }

    #[tokio::test]
    async fn a_module_without_providers_has_nothing_locked() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        fs::write(file("plan"), "the plan").unwrap();
        let artifacts = Artifacts::open(&Location::Directory(file("kept")), None).unwrap();
        artifacts.keep("op_1", number(1), &file("plan"), &file("lock")).await.unwrap();
        artifacts.fetch("op_1", number(3), &file("plan2"), &file("lock2")).await.unwrap();
        assert!(file("plan2").exists() && !file("lock2").exists());
    }

    #[tokio::test]
    async fn a_module_is_what_was_kept_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        let artifacts = Artifacts::open(&Location::Directory(kept.clone()), None).unwrap();
        let packed = PackedModule::of(b"{}".to_vec());
        assert!(artifacts.fetch_module(packed.digest()).await.unwrap().is_none());
        artifacts.keep_module(&packed).await.unwrap();
        let fetched = artifacts.fetch_module(packed.digest()).await.unwrap().unwrap();
        assert_eq!(fetched.bytes(), packed.bytes());
        fs::write(kept.join(format!("modules/{}.json", packed.digest())), "{ }").unwrap();
        let error = artifacts.fetch_module(packed.digest()).await.err().unwrap();
        assert!(matches!(error, ArtifactError::Damaged), "{error}");
    }

    #[test]
    fn keys_in_a_bucket_are_below_its_prefix() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let location = "s3://artifacts/dev".parse().unwrap();
        let artifacts = Artifacts::open(&location, Some("eu-west-1")).unwrap();
        assert_eq!(artifacts.plan_key("op_1", number(1)).as_ref(), "dev/plans/op_1-1.tfplan");
        assert_eq!(artifacts.lock_key("op_1", number(1)).as_ref(), "dev/plans/op_1-1.lock.hcl");
        assert!(artifacts.store.to_string().contains("artifacts"), "{}", artifacts.store);
    }
}
